"""When two documents count as one, and what becomes of the others."""

import dataclasses
from typing import Annotated, Literal

from annotated_types import Gt, Le

from conan_data.config import Config, source
from conan_data.fields import Count, NonNegativeInt


@dataclasses.dataclass(frozen=True, kw_only=True)
class DedupConfig(Config):
    """MinHash with banding finds candidates; the exact Jaccard similarity of their shingles decides."""

    num_bands: Count = 14
    """Bands of a signature; two documents with one equal band are candidates."""
    rows_per_band: Count = 8
    """Hashes of a band; more of them need a higher similarity to be found."""
    ngram: Count = 5
    """Units (words, or letters of scripts without spaces) of a shingle."""
    threshold: Annotated[float, Gt(0), Le(1)] = 0.8
    """Smallest Jaccard similarity of two documents' shingles at which they are near duplicates."""
    seed: NonNegativeInt = 1
    """Seed of the hash functions."""
    url: bool = False
    """Whether pages of one address (scheme, www, fragment, last slash and tracking parameters aside) are
    duplicates, whatever their texts.
    """
    keep: Literal["longest", "first", "best"] = "longest"
    """Which of several duplicates stays: the longest, the first of the input, or the one of the best `score`
    (ties: the longest, then the smallest id).
    """
    score: Literal["toxicity", "adult", "advertisement", "fluency", "lang_score", "tokens"] = "fluency"
    """Column that `keep: best` goes by, higher is better; a document without the score comes last."""
    near: Literal["drop", "group"] = "drop"
    """Near duplicates are dropped, or stay under the `group` of the one that would have stayed, so that they
    never serve as each other's negatives.
    """
    against: tuple[str, ...] = source(())
    """Corpora of ours (last month's), files, folders, or retrieval sets in the BEIR or mteb layout; whatever
    duplicates a document or query of theirs is dropped.
    """
