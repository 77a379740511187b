"""Characters of columns of texts, for compiled loops."""

import numpy as np
import polars as pl
import pyarrow as pa
from numba import types

from conan_data.compiling import njit

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)


def buffers(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the UTF-8 bytes of a column without nulls (uint8, one text after the other), and where each text starts and
    the last one ends (int64 [N + 1]).
    """
    array = texts.to_arrow()
    assert pa.types.is_large_string(array.type) and array.offset == 0 and array.null_count == 0
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[: len(array) + 1]
    return np.frombuffer(data or b"", dtype=np.uint8), starts


@njit(types.int64(BYTES, types.int64, types.int64, types.Array(types.int32, 1, "C")), cache=True, nogil=True)
def decode(data: np.ndarray, start: int, end: int, out: np.ndarray) -> int:
    """Write the code points of the UTF-8 in `data[start:end]` to `out`, and return how many they are."""
    size = 0
    i = start
    while i < end:
        byte = data[i]
        if byte < 0x80:
            code, length = np.int32(byte), 1
        elif byte < 0xE0:
            code, length = np.int32(byte & 0x1F), 2
        elif byte < 0xF0:
            code, length = np.int32(byte & 0x0F), 3
        else:
            code, length = np.int32(byte & 0x07), 4
        for k in range(1, length):
            code = np.int32((code << 6) | (data[i + k] & 0x3F))
        out[size] = code
        size += 1
        i += length
    return size
