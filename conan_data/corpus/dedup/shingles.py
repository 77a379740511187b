"""A text as a set of hashed n-grams: what MinHash estimates on, and what the exact similarity is taken of.

Splitting at white space leaves a Chinese page with no n-gram at all, and then every Chinese duplicate stays.
Shingles here are runs of `ngram` units: words, or letters of scripts without spaces (see `characters`). Case,
punctuation and white space do not count; case is folded character by character, so `ß` is not `ss`. A text of
fewer units has no shingle: it is compared by its exact hash only, in which punctuation counts, too.

Hashes are of 64 bits. A unit is the polynomial of its code points, mixed (Steele et al. 2014, "Fast splittable
pseudorandom number generators", the finaliser), an n-gram the polynomial of its units, mixed. The exact hash is
of 128 bits: the sum and the sum of squares of the mixed characters with their places. Accidental collisions
are rare, deliberate ones are not guarded against.

Two modules compute all this with the same results, `kernels` with numba and `arrays` without.

Shapes: S shingles.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol, cast

import numpy as np

from conan_data.corpus.dedup import arrays
from conan_data.corpus.dedup.arrays import Fingerprints, Sets, ngram_hashes, unit_hashes

__all__ = ["exact_hash", "jaccard", "ngram_hashes", "shingles", "unit_hashes"]

log = logging.getLogger(__name__)


class Hasher(Protocol):
    """What `kernels` and `arrays` offer."""

    def shingles(self, text: str, ngram: int) -> np.ndarray: ...

    def shingle_sets(self, data: np.ndarray, offsets: np.ndarray, ngram: int) -> Sets:
        """Shingles of N texts that lie one behind the other in `data` (UTF-8), text i from `offsets[i]` on
        (int64 [N + 1]).
        """

    def jaccard(self, left: np.ndarray, right: np.ndarray) -> float: ...

    settle: Callable[..., None]
    """See `survivors.Visits.settle`."""

    def byte_hashes(self, data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """uint64 [N, 2] of N byte strings that lie one behind the other in `data` (uint8), string i from
        `offsets[i]` on (int32 [N + 1]).
        """

    def tally(
        self, hashes: np.ndarray, firsts: np.ndarray, counts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each hash (uint64 [N]) once, the smallest of its `firsts` (int64 [N]) and the sum of its `counts`
        (int64 [N]); overwrites what it is given.
        """

    def find(self, hashes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """int64 [N]: the places of `wanted` (uint64 [N]) in `hashes` (uint64, each once), -1 for what is not
        there.
        """

    def codes(self, hashes: np.ndarray) -> np.ndarray:
        """int32 [N]: equal numbers for equal hashes (uint64 [N]), counted from 0."""

    def exact_hash(self, text: str) -> bytes: ...

    def fingerprints(
        self, texts: Sequence[str], factors: np.ndarray, summands: np.ndarray, num_bands: int, ngram: int
    ) -> Fingerprints: ...


@cache
def hasher() -> Hasher:
    """The compiled hashes, or those of numpy where numba cannot be imported."""
    try:
        from conan_data.corpus.dedup import kernels
    except ImportError as error:
        log.warning("hashing without numba (%s); with it, this is several times as fast", error)
        return cast(Hasher, arrays)
    return cast(Hasher, kernels)


def shingles(text: str, ngram: int) -> np.ndarray:
    """uint64 [S], sorted, each once; empty for a text of fewer than `ngram` units."""
    return hasher().shingles(text, ngram)


def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """Size of the intersection over size of the union of two sorted sets of which one at least is not empty."""
    return hasher().jaccard(left, right)


def exact_hash(text: str) -> bytes:
    """16 bytes, equal for texts that differ only in case and white space."""
    return hasher().exact_hash(text)
