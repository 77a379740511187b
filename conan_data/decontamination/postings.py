"""From hashes to the texts that have them, for lookups by the million.

Almost no hash of a training text is in the index, so each lookup first asks a table of bytes with one read, and only
what passes it is searched for.

Shapes: M postings, H distinct hashes, W wanted hashes, F matches.
"""

import numpy as np

from conan_data.corpus.dedup.arrays import mix

_MOST_BITS = 27
_BYTES_A_HASH = 16


class Postings:
    """An immutable multimap of uint64 hashes to int32 owners."""

    def __init__(self, hashes_M: np.ndarray, owners_M: np.ndarray, *, most: int) -> None:
        """Of a hash with more owners the first `most` are kept: text that many share is found by what else they hold."""
        order = np.lexsort((owners_M, hashes_M))
        hashes_M, owners_M = hashes_M[order], owners_M[order].astype(np.int32)
        starts = np.flatnonzero(np.append(True, hashes_M[1:] != hashes_M[:-1])) if len(hashes_M) else order
        sizes = np.diff(np.append(starts, len(hashes_M)))
        self._hashes_H, self._starts_H, self._sizes_H = hashes_M[starts], starts, np.minimum(sizes, most)
        self._owners_M = owners_M
        bits = min(_MOST_BITS, max(16, int(_BYTES_A_HASH * len(self._hashes_H)).bit_length()))
        self._shift = np.uint64(64 - bits)
        self._is_there = np.zeros(1 << bits, np.uint8)
        self._is_there[mix(self._hashes_H) >> self._shift] = 1

    def find(self, wanted_W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return int64 [F] places in `wanted_W` and int32 [F] owners, in the order of the places, then the owners."""
        places = np.flatnonzero(self._is_there[mix(wanted_W) >> self._shift])
        if not len(places):
            return places, np.zeros(0, np.int32)
        slots = np.searchsorted(self._hashes_H, wanted_W[places])
        slots = np.minimum(slots, len(self._hashes_H) - 1)
        is_hit = self._hashes_H[slots] == wanted_W[places]
        places, slots = places[is_hit], slots[is_hit]
        sizes = self._sizes_H[slots]
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return np.repeat(places, sizes), self._owners_M[np.repeat(self._starts_H[slots], sizes) + within]


def paired(places: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Return uint64 that hold a place (upper half) and an owner each; they sort by the place, then the owner."""
    return (places.astype(np.uint64) << np.uint64(32)) | owners.astype(np.uint64)


def unpaired(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places and the owners of `paired`, int64."""
    return (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
