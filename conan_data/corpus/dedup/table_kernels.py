"""Compiled tables of hashes with open addressing: equal ones are found without sorting them all."""

import numpy as np
from numba import types

from conan_data.compiling import njit
from conan_data.corpus.dedup.set_kernels import HASHES

_NUMBERS = types.int64[::1]


@njit(nogil=True)
def _slots(num: int) -> np.ndarray:
    """An empty table for `num` hashes, of places; at most half of it will be taken."""
    size = 2
    while size < 2 * num:
        size *= 2
    return np.full(size, -1, np.int32)


@njit(nogil=True)
def _slot(slots: np.ndarray, hashes: np.ndarray, value: np.uint64) -> np.int64:
    """The slot of the hash `value`, or the free one that it would take."""
    mask = len(slots) - 1
    slot = np.int64(value & np.uint64(mask))
    while slots[slot] >= 0 and hashes[slots[slot]] != value:
        slot = (slot + 1) & mask
    return slot


@njit((types.uint64[::1], _NUMBERS, _NUMBERS), cache=True, nogil=True)
def _tally(hashes: np.ndarray, firsts: np.ndarray, counts: np.ndarray) -> int:
    slots, num = _slots(len(hashes)), 0
    for i in range(len(hashes)):
        slot = _slot(slots, hashes, hashes[i])
        place = slots[slot]
        if place < 0:
            slots[slot] = num
            hashes[num], firsts[num], counts[num] = hashes[i], firsts[i], counts[i]
            num += 1
        else:
            firsts[place] = min(firsts[place], firsts[i])
            counts[place] += counts[i]
    return num


@njit((HASHES, HASHES), cache=True, nogil=True)
def find(hashes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """See `shingles.Hasher`."""
    slots, places = _slots(len(hashes)), np.empty(len(wanted), np.int64)
    for i in range(len(hashes)):
        slots[_slot(slots, hashes, hashes[i])] = i
    for i in range(len(wanted)):
        places[i] = slots[_slot(slots, hashes, wanted[i])]
    return places


@njit((HASHES,), cache=True, nogil=True)
def codes(hashes: np.ndarray) -> np.ndarray:
    """See `shingles.Hasher`."""
    slots, found = _slots(len(hashes)), np.empty(len(hashes), np.int32)
    num = 0
    for i in range(len(hashes)):
        slot = _slot(slots, hashes, hashes[i])
        if slots[slot] < 0:
            slots[slot] = i
            found[i] = num
            num += 1
        else:
            found[i] = found[slots[slot]]
    return found


def tally(
    hashes: np.ndarray, firsts: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """See `shingles.Hasher`."""
    num = _tally(hashes, firsts, counts)
    return hashes[:num], firsts[:num], counts[:num]
