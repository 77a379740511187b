"""Compiled work on sets of hashes: sorting, similarity, and who of many candidates stays (see `survivors`).

A set is a run of ascending uint64 values, each once; many sets lie one behind the other in one array.
"""

import numpy as np
from numba import types

from conan_data.compiling import njit

HASHES = types.Array(types.uint64, 1, "C", readonly=True)
PLACES = types.Array(types.int64, 1, "C", readonly=True)
LONG = 64
"""Values that share a bucket of the sort, from which on they are sorted by themselves."""
_MOST_BITS = 16
SORT_COUNTS = (1 << _MOST_BITS) + 1
"""Counters that a sort needs."""


@njit(nogil=True)
def sort(values: np.ndarray, spare: np.ndarray, counts: np.ndarray) -> None:
    """Sorts hashes in place. They are spread evenly, so their top bits tell about where each belongs.

    `spare` holds as many, `counts` is int64 [SORT_COUNTS].
    """
    bits = 0
    while bits < _MOST_BITS and 1 << bits < len(values):
        bits += 1
    if bits:
        shift = np.uint64(64 - bits)
        counts[: (1 << bits) + 1] = 0
        for value in values:
            counts[np.int64(value >> shift) + 1] += 1
        for bucket in range(1 << bits):
            if counts[bucket + 1] > LONG:
                values.sort()
                return
            counts[bucket + 1] += counts[bucket]
        for value in values:
            place = np.int64(value >> shift)
            spare[counts[place]] = value
            counts[place] += 1
        values[:] = spare[: len(values)]
    for i in range(1, len(values)):
        value, j = values[i], i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value


@njit(nogil=True)
def distinct(values: np.ndarray) -> int:
    """Moves the different ones of sorted values to the front; how many."""
    num = min(len(values), 1)
    for i in range(1, len(values)):
        values[num] = values[i]
        num += values[num] != values[num - 1]
    return num


@njit((HASHES, HASHES), cache=True, nogil=True)
def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """See `shingles.jaccard`."""
    i = j = shared = 0
    while i < len(left) and j < len(right):
        a, b = left[i], right[j]
        shared += a == b
        i += a <= b
        j += b <= a
    return shared / (len(left) + len(right) - shared)


@njit(nogil=True)
def _similar(left: np.ndarray, right: np.ndarray, threshold: float) -> bool:
    """Whether `jaccard` is at least the threshold, found out as early as can be."""
    total = len(left) + len(right)
    needed = np.int64(threshold * total / (1 + threshold))
    while needed > 0 and (needed - 1) / (total - needed + 1) >= threshold:
        needed -= 1
    while needed / (total - needed) < threshold:
        needed += 1
    # Values of either set that may still be missing from the other.
    spare_left, spare_right = len(left) - needed, len(right) - needed
    i = j = shared = 0
    while i - shared <= spare_left and j - shared <= spare_right and i < len(left) and j < len(right):
        a, b = left[i], right[j]
        shared += a == b
        i += a <= b
        j += b <= a
    return bool(shared >= needed)


@njit(
    (
        types.int64,
        types.int64,
        types.int64,
        types.boolean,
        PLACES,
        types.Array(types.int32, 1, "C", readonly=True),
        PLACES,
        types.int64[::1],
        types.int32[::1],
        types.int32[::1],
        types.int64[::1],
        HASHES,
        PLACES,
        types.Array(types.int32, 1, "C", readonly=True),
        types.float64,
    ),
    cache=True,
    nogil=True,
)
def settle(
    first: int,
    last: int,
    num_fixed: int,
    enters: bool,
    bounds: np.ndarray,
    own: np.ndarray,
    starts: np.ndarray,
    used: np.ndarray,
    slots: np.ndarray,
    seen: np.ndarray,
    survivors: np.ndarray,
    values: np.ndarray,
    ends: np.ndarray,
    places: np.ndarray,
    threshold: float,
) -> None:
    """See `survivors.Visits.settle`."""
    for document in range(first, last):
        if document >= num_fixed and survivors[document] == document:
            place = places[document]
            mine = values[ends[place] : ends[place + 1]]
            best = document
            for member in range(bounds[document], bounds[document + 1]):
                start = starts[own[member]]
                for slot in range(start, start + used[own[member]]):
                    other = slots[slot]
                    if other >= best:
                        break
                    if seen[other] == document or places[other] < 0:
                        continue
                    seen[other] = document
                    theirs = values[ends[places[other]] : ends[places[other] + 1]]
                    if _similar(theirs, mine, threshold):
                        best = other
            survivors[document] = best
        if enters and survivors[document] == document:
            for member in range(bounds[document], bounds[document + 1]):
                bucket = own[member]
                slots[starts[bucket] + used[bucket]] = document
                used[bucket] += 1
