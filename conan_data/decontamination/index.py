"""Find the evaluation texts that a training text repeats, by its characters.

Three tests, each of a text in its comparable form (NFKD, case folded, then composed again, so that a letter is one
character): the same text but for white space; at least half of the 13-grams of the shorter of the two texts in the
other one; and near duplicates (see `near`). Texts that nobody is scored on (passages of an evaluation
corpus without a judgement) are compared for equality alone: there may be millions of them.

The evaluation side is held as hashes and its texts in one Arrow table, which may be a file mapped into memory; training
texts pass by in batches and are not held.

Shapes: N training texts of a batch, E evaluation texts, F matches.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from conan_data.corpus.dedup.arrays import mix
from conan_data.corpus.dedup.shingles import hasher
from conan_data.decontamination.near import NearIndex, shingle_sets
from conan_data.decontamination.postings import Postings, paired, unpaired

EXACT, NGRAM, NEAR, EMBEDDING = range(4)
METHODS: Final = ("exact", "ngram", "near", "embedding")
_MOST_OWNERS = 32
_EVALUATION_BATCH = 1 << 14
_MATCHES_A_TEXT = 64


def comparable(text: str) -> str:
    """Return `text` as it is compared: compatibility forms, case and decomposition count as one.

    ASCII is left to the hashes, which ignore case and the amount of white space.
    """
    if text.isascii():
        return text
    folded = text.casefold()
    # Most texts are composed already, which is quick to see.
    if unicodedata.is_normalized("NFKC", folded):
        return folded
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", text).casefold())


@dataclass(frozen=True)
class Matches:
    """F matches of a batch, each pair of texts once, by the strongest method."""

    places: np.ndarray
    """int64 [F]: training texts of the batch, ascending."""
    evaluations: np.ndarray
    """int32 [F]: evaluation texts."""
    methods: np.ndarray
    """uint8 [F]: places in `METHODS`."""
    similarities: np.ndarray
    """float32 [F]: 1 for equal texts, the containment, the Jaccard similarity, or the cosine."""

    @classmethod
    def joined(cls, parts: "Sequence[Matches]") -> "Matches":
        """Return the matches of several methods; of a pair that two have found the first one counts."""
        names = ("places", "evaluations", "methods", "similarities")
        columns = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
        order = np.lexsort((columns[2], columns[1], columns[0]))
        columns = [column[order] for column in columns]
        first = np.ones(len(order), bool)
        first[1:] = (np.diff(columns[0]) != 0) | (np.diff(columns[1]) != 0)
        return cls(*(column[first] for column in columns))

    @classmethod
    def of(
        cls, method: int, places: np.ndarray, evaluations: np.ndarray, similarities: np.ndarray
    ) -> "Matches":
        return cls(
            places.astype(np.int64),
            evaluations.astype(np.int32),
            np.full(len(places), method, np.uint8),
            similarities.astype(np.float32),
        )


class TextIndex:
    """The evaluation texts, indexed. `is_scored_E`: which of them are compared by more than equality."""

    def __init__(
        self,
        texts_E: pa.ChunkedArray,
        is_scored_E: np.ndarray,
        *,
        ngram: int,
        containment: float,
        near: float,
    ) -> None:
        self.texts = texts_E
        self.ngram, self.containment, self.near = ngram, containment, near
        self.num_grams_E = np.zeros(len(texts_E), np.int64)
        self._near = NearIndex(near)
        exact = [np.zeros(0, np.uint64)]
        grams = [(np.zeros(0, np.uint64), np.zeros(0, np.int64))]
        for first, texts in batches(texts_E, _EVALUATION_BATCH):
            exact.append(_exact_keys(texts))
            scored = np.flatnonzero(is_scored_E[first : first + len(texts)])
            own = [texts[place] for place in scored.tolist()]
            self._near.add(own, first + scored)
            sets = shingle_sets(own, ngram)
            sizes = np.diff(sets.ends)
            self.num_grams_E[first + scored] = sizes
            grams.append((sets.values, np.repeat(first + scored, sizes)))
        keys = np.concatenate(exact)
        self._exact = Postings(keys, np.arange(len(keys)), most=_MOST_OWNERS)
        self._grams = Postings(*(np.concatenate(column) for column in zip(*grams)), most=_MOST_OWNERS)
        self._near.finish()

    def match(self, texts_N: Sequence[str]) -> Matches:
        """Return the evaluation texts that each training text (in its comparable form) repeats."""
        places, owners = self._exact.find(_exact_keys(texts_N))
        exact = Matches.of(EXACT, places, owners, np.ones(len(places)))
        candidates = np.setdiff1d(self._near.candidates(texts_N), paired(places, owners))
        return _capped(Matches.joined([exact, self._contained(texts_N), self._similar(texts_N, candidates)]))

    def _contained(self, texts_N: Sequence[str]) -> Matches:
        sets = shingle_sets(texts_N, self.ngram)
        sizes_N = np.diff(sets.ends)
        places, owners = self._grams.find(sets.values)
        texts = np.searchsorted(sets.ends, places, side="right") - 1
        pairs, counts = np.unique(paired(texts, owners), return_counts=True)
        texts, owners = unpaired(pairs)
        share = counts / np.maximum(np.minimum(sizes_N[texts], self.num_grams_E[owners]), 1)
        is_leak = share >= self.containment
        return Matches.of(NGRAM, texts[is_leak], owners[is_leak], share[is_leak])

    def _similar(self, texts_N: Sequence[str], pairs: np.ndarray) -> Matches:
        """Compare candidates by the exact Jaccard similarity of their shingles."""
        places, owners = unpaired(pairs)
        own, own_at = np.unique(places, return_inverse=True)
        others, others_at = np.unique(owners, return_inverse=True)
        similarities = self._near.similarities(
            [texts_N[place] for place in own.tolist()],
            [comparable(text) for text in take(self.texts, others)],
            own_at,
            others_at,
        )
        is_leak = similarities >= self.near
        return Matches.of(NEAR, places[is_leak], owners[is_leak], similarities[is_leak])


def batches(texts: pa.ChunkedArray, size: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first text and the comparable texts of consecutive slices."""
    for first in range(0, len(texts), size):
        yield first, [comparable(text) for text in texts.slice(first, size).to_pylist()]


def take(texts: pa.ChunkedArray, rows: np.ndarray) -> list[str]:
    """Return the texts of some rows."""
    return texts.take(pa.array(rows)).to_pylist() if len(rows) else []


def _exact_keys(texts: Sequence[str]) -> np.ndarray:
    """Return a uint64 for each text, equal for texts that differ in case and white space only."""
    none = np.zeros(0, np.uint32)
    exact_N2 = hasher().fingerprints(texts, none, none, num_bands=1, ngram=1).exact
    return mix(exact_N2[:, 0] ^ mix(exact_N2[:, 1]))


def _capped(matches: Matches) -> Matches:
    """Return at most `_MATCHES_A_TEXT` matches of a text, those of the strongest methods and the highest similarities."""
    order = np.lexsort((matches.evaluations, -matches.similarities, matches.methods, matches.places))
    places = matches.places[order]
    starts = np.flatnonzero(np.append(True, places[1:] != places[:-1])) if len(places) else order
    rank = np.arange(len(places)) - np.repeat(starts, np.diff(np.append(starts, len(places))))
    kept = order[rank < _MATCHES_A_TEXT]
    return Matches(
        *(getattr(matches, name)[kept] for name in ("places", "evaluations", "methods", "similarities"))
    )
