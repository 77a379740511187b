"""When two documents count as one, and what becomes of the others."""

import dataclasses
from typing import Literal

from conan_data.config import require, source
from conan_data.corpus.classify.config import CLASSIFIERS

SCORES = (*CLASSIFIERS, "lang_score", "tokens")
"""Columns by which the best of several documents may be chosen."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DedupConfig:
    """MinHash with banding finds candidates; the exact Jaccard similarity of their shingles decides."""

    num_bands: int = 14
    """Bands of a signature; two documents with one equal band are candidates."""
    rows_per_band: int = 8
    """Hashes of a band; more of them need a higher similarity to be found."""
    ngram: int = 5
    """Units (words, or letters of scripts without spaces) of a shingle."""
    threshold: float = 0.8
    """Smallest Jaccard similarity of two documents' shingles at which they are near duplicates."""
    seed: int = 1
    """Seed of the hash functions."""
    url: bool = False
    """Whether pages of one address (scheme, www, fragment, last slash and tracking parameters aside) are
    duplicates, whatever their texts.
    """
    keep: Literal["longest", "first", "best"] = "longest"
    """Which of several duplicates stays: the longest, the first of the input, or the one of the best `score`
    (ties: the longest, then the smallest id).
    """
    score: str = "fluency"
    """Column that `keep: best` goes by, higher is better; a document without the score comes last."""
    near: Literal["drop", "group"] = "drop"
    """Near duplicates are dropped, or stay under the `group` of the one that would have stayed, so that they
    never serve as each other's negatives.
    """
    against: tuple[str, ...] = source(())
    """Corpora of ours (last month's), files, folders, or retrieval sets in the BEIR or mteb layout; whatever
    duplicates a document or query of theirs is dropped.
    """

    def __post_init__(self) -> None:
        for field in ("num_bands", "rows_per_band", "ngram"):
            require(getattr(self, field) >= 1, f"dedup.{field}", getattr(self, field), "must be at least 1")
        require(0 < self.threshold <= 1, "dedup.threshold", self.threshold, "must be above 0 and at most 1")
        require(self.seed >= 0, "dedup.seed", self.seed, "must not be negative")
        keeps, nears = ("longest", "first", "best"), ("drop", "group")
        require(self.keep in keeps, "dedup.keep", self.keep, f"must be one of {', '.join(keeps)}")
        require(self.near in nears, "dedup.near", self.near, f"must be one of {', '.join(nears)}")
        require(self.score in SCORES, "dedup.score", self.score, f"must be one of {', '.join(SCORES)}")
