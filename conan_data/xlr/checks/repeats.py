"""Translations that say the same again and again, as a model does that has lost its way.

Measured is the share of a text's 8-character sequences that stand in it before; the source's own share is taken off,
for a source that repeats itself is translated so.
"""

import numpy as np
import polars as pl
from numba import types

from conan_data.compiling import njit
from conan_data.xlr.checks.check import Check, Found
from conan_data.xlr.checks.codepoints import BYTES, OFFSETS, buffers, decode

LENGTH = 8
"""Characters of a sequence."""


def repeated_share(texts: pl.Series) -> np.ndarray:
    """Return the share of each text's sequences of `LENGTH` characters that stand in it before (float64 [N])."""
    return _repeated(*buffers(texts))


@njit(types.float64[:](BYTES, OFFSETS), cache=True, nogil=True)
def _repeated(data: np.ndarray, starts: np.ndarray) -> np.ndarray:
    num_texts = len(starts) - 1
    longest = 0
    for row in range(num_texts):
        longest = max(longest, starts[row + 1] - starts[row])
    size = 16
    while size < 2 * longest:
        size *= 2
    codes = np.empty(longest, np.int32)
    keys = np.empty(size, np.uint64)
    used = np.full(size, -1, np.int64)
    shares = np.zeros(num_texts)
    top = np.uint64(1)
    for _ in range(LENGTH - 1):
        top *= np.uint64(0x9E3779B97F4A7C15)
    for row in range(num_texts):
        length = decode(data, starts[row], starts[row + 1], codes)
        total = length - LENGTH + 1
        if total < 1:
            continue
        # Few slots for a short text: they stay in the cache.
        mask = 16
        while mask < 2 * length:
            mask *= 2
        mask -= 1
        key = np.uint64(0)
        repeats = 0
        for i in range(length):
            if i >= LENGTH:
                key -= np.uint64(codes[i - LENGTH]) * top
            key = key * np.uint64(0x9E3779B97F4A7C15) + np.uint64(codes[i])
            if i < LENGTH - 1:
                continue
            slot = np.int64((key * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(40)) & mask
            while used[slot] == row and keys[slot] != key:
                slot = (slot + 1) & mask
            if used[slot] == row:
                repeats += 1
            else:
                used[slot] = row
                keys[slot] = key
        shares[row] = repeats / total
    return shares


def _find(frame: pl.DataFrame) -> Found:
    text, source = repeated_share(frame["text"]), repeated_share(frame["source"])
    return {"repeated": pl.Series(text - source > frame["max_repeated"].to_numpy())}


REPEATS = Check("repeats", _find)
