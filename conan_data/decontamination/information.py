"""How much a text says, so that a match by chance is told from a leak.

"Yes" and "what is it" stand in every large set; that they stand in the evaluation too says nothing. The information of a
text is the sum, over its different units (words, or letters of scripts without spaces), of -log2 of their frequencies in
the training set. A small set knows few words, so `PRIOR_WEIGHT` units of a prior are added, by which a unit costs `_BITS`
bits and more for every letter.
"""

from collections.abc import Sequence

import numpy as np

from conan_data.corpus.dedup.arrays import ngram_hashes, unit_hashes
from conan_data.decontamination.index import comparable
from conan_data.decontamination.near import shingle_sets
from conan_data.text.characters import DIGIT, LETTER, UNSPACED, characters

_BUCKETS = 20
PRIOR_WEIGHT = 1000.0
_BITS, _BITS_A_LETTER = 2.0, 1.5
_MOST_LETTERS = 12


class UnitCounts:
    """Counts in how many training texts each unit stands."""

    def __init__(self) -> None:
        self._counts = np.zeros(1 << _BUCKETS, np.int64)

    def add(self, texts: Sequence[str]) -> None:
        """Count the units of comparable texts."""
        units = shingle_sets(texts, 1).values
        # A hash of one unit is mixed, so its upper bits are as good as any.
        self._counts += np.bincount(
            (units >> np.uint64(64 - _BUCKETS)).astype(np.int64), minlength=1 << _BUCKETS
        )

    def bits(self, text: str) -> float:
        """Return the information of a text in bits."""
        text = comparable(text)
        units = shingle_sets([text], 1).values
        if not len(units):
            return 0.0
        weights = _letters_of(text)
        letters = np.array([weights[unit] for unit in units.tolist()])
        prior = 2.0 ** -(_BITS + _BITS_A_LETTER * np.minimum(letters, _MOST_LETTERS))
        counts = self._counts[(units >> np.uint64(64 - _BUCKETS)).astype(np.int64)]
        frequencies = (counts + PRIOR_WEIGHT * prior) / (self._counts.sum() + PRIOR_WEIGHT)
        return float(-np.log2(frequencies).sum())


def _letters_of(text: str) -> dict[int, float]:
    """Return how many letters each unit of a text has, by the hash that the unit has as an n-gram."""
    chars = characters(text, fold=True)
    inside = (chars.kinds == LETTER) | (chars.kinds == UNSPACED) | (chars.kinds == DIGIT)
    starts = np.flatnonzero(chars.begins[inside])
    letters = np.maximum(chars.letters, 1)[inside]
    return dict(zip(ngram_hashes(unit_hashes(chars), 1).tolist(), np.add.reduceat(letters, starts).tolist()))
