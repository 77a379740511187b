"""The compiled path from the UTF-8 bytes of texts to their hashes, in one pass and in scratch memory of fixed
size; see `shingles` for what is computed. `arrays` gives the same results without a compiler.

A character costs one look into a table that holds its folded code point and its kind. Branches that a reader
of prose cannot foresee, such as the ends of words, are arithmetic instead: a factor of 0, 1 or `BASE` starts a
unit, passes over a character, or goes on with the unit. MinHash works on 32-bit lanes, eight shingles at a
time, so that the processor's vector units hold the minima in registers.

Shapes: N texts, B bands, H hashes, S shingles.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numba import types

from conan_data.compiling import njit
from conan_data.corpus.dedup.arrays import BASE, FIRST, SECOND, Fingerprints, Sets
from conan_data.corpus.dedup.set_kernels import HASHES, PLACES, SORT_COUNTS, distinct, jaccard, settle, sort
from conan_data.corpus.dedup.table_kernels import codes, find, tally
from conan_data.text.characters import DIGIT, LETTER, UNSPACED, folds, kinds, spaces

__all__ = [
    "byte_hashes",
    "codes",
    "exact_hash",
    "find",
    "fingerprints",
    "jaccard",
    "settle",
    "shingle_sets",
    "shingles",
    "table",
    "tally",
]

BLOCK = 4096
"""Characters between two looks at what has been collected, so that scratch memory stays in the first cache."""
LANES = 8
"""Shingles that one round of MinHash takes."""
BYTES = types.Array(types.uint8, 1, "C", readonly=True)
NUMBERS = types.Array(types.uint32, 1, "C", readonly=True)
STEP = np.array([1, 0, BASE, 0], dtype=np.uint64)
"""Factor of a unit's hash before a character: outside of units (0), inside (2), at a beginning (3)."""
_u = np.uint64
_0, _1, _2, _3 = _u(0), _u(1), _u(2), _u(3)
_TAIL, _CODE = _u(0x3F), _u(0x1FFFFF)
_WORD, _ALONE, _SPACE = _u(21), _u(22), _u(23)


@cache
def table() -> np.ndarray:
    """uint32 [0x110000]: a character's folded code point (21 bits), and one bit each for letters and digits of
    words, for letters that are units, and for white space.
    """
    codes = folds()
    found = kinds()[codes]
    flags = (
        (((found == LETTER) | (found == DIGIT)).astype(np.uint32) << np.uint32(_WORD))
        | ((found == UNSPACED).astype(np.uint32) << np.uint32(_ALONE))
        | (spaces().astype(np.uint32) << np.uint32(_SPACE))
    )
    return codes | flags


@njit(nogil=True)
def _mix(value: np.uint64) -> np.uint64:
    value ^= value >> np.uint64(30)
    value *= FIRST
    value ^= value >> np.uint64(27)
    value *= SECOND
    return value ^ (value >> np.uint64(31))


@njit(nogil=True)
def _scan(
    data: np.ndarray,
    at: np.uint64,
    end: np.uint64,
    table: np.ndarray,
    step: np.ndarray,
    units: np.ndarray,
    codes: np.ndarray,
    unit: np.uint64,
    value: np.uint64,
    in_word: np.uint64,
    after_space: np.uint64,
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]:
    """Up to BLOCK characters of `data[at:end]`: raw hashes of units go to `units` from place `unit` on, the
    characters that are not white space to `codes`.

    All numbers are unsigned, which spares the compiler the case of negative places.
    """
    num_codes = _0
    for _ in range(BLOCK):
        if at >= end:
            break
        lead = _u(data[at])
        if lead < _u(0x80):
            code = lead
            at += _1
        elif lead < _u(0xE0):
            code = (lead & _u(0x1F)) << _u(6) | (_u(data[at + _1]) & _TAIL)
            at += _2
        elif lead < _u(0xF0):
            code = (lead & _u(0xF)) << _u(12) | (_u(data[at + _1]) & _TAIL) << _u(6)
            code |= _u(data[at + _2]) & _TAIL
            at += _3
        else:
            code = (lead & _u(7)) << _u(18) | (_u(data[at + _1]) & _TAIL) << _u(12)
            code |= (_u(data[at + _2]) & _TAIL) << _u(6) | (_u(data[at + _3]) & _TAIL)
            at += _u(4)
        entry = _u(table[code])
        folded = entry & _CODE
        word, alone, space = entry >> _WORD & _1, entry >> _ALONE & _1, entry >> _SPACE & _1
        inside = word | alone
        begins = alone | (word & (in_word ^ _1))
        unit += begins
        value = value * step[inside << _1 | begins] + folded * inside
        units[unit] = value
        codes[num_codes] = folded | after_space << _WORD
        num_codes += _1 - space
        in_word, after_space = word, space
    return at, num_codes, unit, value, in_word, after_space


@njit(nogil=True)
def _ngrams(
    units: np.ndarray, num_units: np.int64, ngram: np.int64, mixed: np.ndarray, grams: np.ndarray
) -> np.int64:
    """Hashes of the runs of `ngram` of `units[1 : num_units + 1]`, to `grams`; how many."""
    num = num_units - ngram + 1
    if num <= 0:
        return np.int64(0)
    for i in range(num_units):
        mixed[i] = _mix(units[i + 1])
    for i in range(num):
        grams[i] = _0
    for offset in range(ngram):
        for i in range(num):
            grams[i] = grams[i] * BASE + mixed[i + offset]
    for i in range(num):
        grams[i] = _mix(grams[i])
    return num


@njit(nogil=True)
def _minima(
    grams: np.ndarray,
    num: np.int64,
    lanes: np.ndarray,
    factors: np.ndarray,
    summands: np.ndarray,
    least: np.ndarray,
) -> None:
    """Takes `grams[:num]` into the minima of a text."""
    for i in range(num):
        lanes[i] = np.uint32(grams[i] >> np.uint64(32))
    rounds = (num + LANES - 1) // LANES
    for i in range(num, rounds * LANES):
        lanes[i] = lanes[0]
    for r in range(rounds):
        i = r * LANES
        x0, x1, x2, x3 = lanes[i], lanes[i + 1], lanes[i + 2], lanes[i + 3]
        x4, x5, x6, x7 = lanes[i + 4], lanes[i + 5], lanes[i + 6], lanes[i + 7]
        for j in range(len(factors)):
            a, c, low = factors[j], summands[j], least[j]
            low = min(low, np.uint32(a * x0 + c))
            low = min(low, np.uint32(a * x1 + c))
            low = min(low, np.uint32(a * x2 + c))
            low = min(low, np.uint32(a * x3 + c))
            low = min(low, np.uint32(a * x4 + c))
            low = min(low, np.uint32(a * x5 + c))
            low = min(low, np.uint32(a * x6 + c))
            low = min(low, np.uint32(a * x7 + c))
            least[j] = low


@njit(nogil=True)
def _exact(codes: np.ndarray, num: np.uint64, place: np.uint64, sums: np.ndarray) -> None:
    """Adds characters, of which the first is number `place` of its text, to the two sums of the exact hash."""
    first, second = _0, _0
    for i in range(np.int64(num)):
        value = _mix(_u(codes[i]) + (place + _u(i)) * BASE)
        first += value
        second += value * value
    sums[0] += first
    sums[1] += second


@njit(nogil=True)
def _whole(unit: np.uint64, in_word: np.uint64, goes_on: np.bool) -> np.int64:
    """Units that are complete, of `unit` that were begun."""
    return np.int64(unit - in_word) if goes_on else np.int64(unit)


@njit(nogil=True)
def _keep(units: np.ndarray, unit: np.uint64, num: np.int64) -> np.uint64:
    """Moves what belongs to later n-grams to the front; the new number of units."""
    for i in range(num, np.int64(unit) + 1):
        units[i - num] = units[i]
    return unit - _u(num)


@njit((BYTES, PLACES, NUMBERS, HASHES, types.int64, types.int64[::1]), cache=True, nogil=True)
def _shingle_sets(
    data: np.ndarray,
    offsets: np.ndarray,
    table: np.ndarray,
    step: np.ndarray,
    ngram: np.int64,
    ends: np.ndarray,
) -> np.ndarray:
    size = BLOCK + ngram + LANES
    units, mixed, grams = np.empty(size, np.uint64), np.empty(size, np.uint64), np.empty(size, np.uint64)
    codes, counts = np.empty(BLOCK + 1, np.uint32), np.empty(SORT_COUNTS, np.int64)
    found, spare = np.empty(len(data) // 4 + size, np.uint64), np.empty(size, np.uint64)
    total = np.int64(0)
    for text in range(len(offsets) - 1):
        first = total
        at, end = _u(offsets[text]), _u(offsets[text + 1])
        unit, value, in_word, after_space = _0, _0, _0, _0
        while at < end:
            at, _, unit, value, in_word, after_space = _scan(
                data, at, end, table, step, units, codes, unit, value, in_word, after_space
            )
            num = _ngrams(units, _whole(unit, in_word, at < end), ngram, mixed, grams)
            if total + num > len(found):
                larger = np.empty(2 * len(found), np.uint64)
                larger[:total] = found[:total]
                found = larger
            found[total : total + num] = grams[:num]
            total += num
            unit = _keep(units, unit, num)
        if total - first > len(spare):
            spare = np.empty(2 * (total - first), np.uint64)
        sort(found[first:total], spare, counts)
        total = first + distinct(found[first:total])
        ends[text + 1] = total
    return found[:total]


@njit(nogil=True)
def _band_keys(least: np.ndarray, keys: np.ndarray) -> None:
    rows = len(least) // len(keys)
    for band in range(len(keys)):
        key = _0
        for row in range(band * rows, (band + 1) * rows):
            key = key * BASE + _u(least[row])
        keys[band] = _mix(key)


@njit(
    (
        BYTES,
        PLACES,
        NUMBERS,
        HASHES,
        NUMBERS,
        NUMBERS,
        types.int64,
        types.uint64[:, ::1],
        types.uint64[:, ::1],
        types.boolean[::1],
    ),
    cache=True,
    nogil=True,
)
def _fingerprints(
    data: np.ndarray,
    offsets: np.ndarray,
    table: np.ndarray,
    step: np.ndarray,
    factors: np.ndarray,
    summands: np.ndarray,
    ngram: np.int64,
    exact: np.ndarray,
    keys: np.ndarray,
    has_keys: np.ndarray,
) -> None:
    size = BLOCK + ngram + LANES
    units, mixed, grams = np.empty(size, np.uint64), np.empty(size, np.uint64), np.empty(size, np.uint64)
    codes, lanes = np.empty(BLOCK + 1, np.uint32), np.empty(size, np.uint32)
    least = np.empty(len(factors), np.uint32)
    for text in range(len(offsets) - 1):
        at, end = _u(offsets[text]), _u(offsets[text + 1])
        place, unit, value, in_word, after_space = _0, _0, _0, _0, _0
        least[:] = np.uint32(0xFFFFFFFF)
        while at < end:
            at, num_codes, unit, value, in_word, after_space = _scan(
                data, at, end, table, step, units, codes, unit, value, in_word, after_space
            )
            if place == _0:
                codes[0] &= np.uint32(_CODE)
            _exact(codes, num_codes, place, exact[text])
            place += num_codes
            num = _ngrams(units, _whole(unit, in_word, at < end), ngram, mixed, grams)
            if num > 0:
                has_keys[text] = True
                _minima(grams, num, lanes, factors, summands, least)
                unit = _keep(units, unit, num)
        exact[text, 0], exact[text, 1] = _mix(exact[text, 0]), _mix(exact[text, 1])
        if has_keys[text]:
            _band_keys(least, keys[text])


@njit((BYTES, types.Array(types.int32, 1, "C", readonly=True)), cache=True, nogil=True)
def byte_hashes(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """See `shingles.Hasher`."""
    found = np.empty((len(offsets) - 1, 2), np.uint64)
    for i in range(len(found)):
        first, second = FIRST, SECOND
        for at in range(offsets[i], offsets[i + 1]):
            first = _mix(first + _u(data[at]))
            second = (second ^ _u(data[at])) * BASE
        found[i, 0], found[i, 1] = first, _mix(second)
    return found


def shingles(text: str, ngram: int) -> np.ndarray:
    """See `shingles.shingles`."""
    data = _bytes(text.encode())
    return shingle_sets(data, np.array([0, len(data)]), ngram).values


def shingle_sets(data: np.ndarray, offsets: np.ndarray, ngram: int) -> Sets:
    """See `shingles.Hasher`."""
    ends = np.zeros(len(offsets), dtype=np.int64)
    return Sets(_shingle_sets(data, offsets, table(), STEP, np.int64(ngram), ends), ends)


def exact_hash(text: str) -> bytes:
    """See `shingles.exact_hash`."""
    none = np.zeros(0, dtype=np.uint32)
    return fingerprints([text], none, none, num_bands=1, ngram=1).exact.tobytes()


def fingerprints(
    texts: Sequence[str], factors: np.ndarray, summands: np.ndarray, num_bands: int, ngram: int
) -> Fingerprints:
    """Of N texts, with H hash functions (`factors`, `summands`: uint32 [H])."""
    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    found = Fingerprints.empty(len(texts), num_bands)
    _fingerprints(
        _bytes(encoded[0] if len(encoded) == 1 else b"".join(encoded)),
        offsets,
        table(),
        STEP,
        factors,
        summands,
        np.int64(ngram),
        found.exact,
        found.keys,
        found.has_keys,
    )
    return found


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype=np.uint8)
