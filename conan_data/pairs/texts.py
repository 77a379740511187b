"""Distinct texts, out of a stream of tens of millions that repeat.

A text that occurs in a thousand pairs must be one document, or the batch holds it as positive and as negative
of the same query. A dict that knows them all takes hundreds of bytes a text; here a text is a 64-bit hash
(of its exact characters; that also becomes its id, so ids do not change when files are added), texts are in
Arrow, and what belongs together is found by sorting numbers: once in each block of texts, and once over all.
"""

import binascii
import hashlib

import numpy as np
import pyarrow as pa

# T texts as they come, B of a block, D distinct texts

BLOCK = 1 << 16


class TextTable:
    """Collects texts; `finish` gives the distinct ones and where each that came is among them."""

    def __init__(self) -> None:
        self._pending: list[tuple[str, str, str]] = []
        self._blocks: list[pa.RecordBatch] = []
        self._hashes: list[np.ndarray] = []
        self._places: list[np.ndarray] = []
        self._has_group: list[np.ndarray] = []
        self._num_kept = 0

    def add(self, text: str, lang: str, group: str = "") -> None:
        """One more text; of equal texts the first decides the language, and the first that has one the group."""
        self._pending.append((text, lang, group))
        if len(self._pending) == BLOCK:
            self._flush()

    def finish(self) -> tuple[pa.Table, np.ndarray]:
        """Columns `_id`, `text`, `lang`, `group` of the D distinct texts, in the order of their first
        occurrence, and int32 [T]: the row of each text that came.
        """
        self._flush()
        if not self._blocks:
            return pa.table({name: pa.array([], pa.string()) for name in _NAMES}), np.zeros(0, np.int32)
        hash_K = np.concatenate(self._hashes)
        has_group_K = np.concatenate(self._has_group)
        first_D, row_K = _first_of_equal(hash_K)
        is_first_K = np.zeros(len(hash_K), bool)
        is_first_K[first_D] = True
        kept, start = [], 0
        for block in self._blocks:
            kept.append(block.filter(pa.array(is_first_K[start : start + block.num_rows])))
            start += block.num_rows
        table = pa.Table.from_batches(kept).add_column(0, "_id", hex_ids(hash_K[first_D]))
        if has_group_K.any():
            groups = pa.chunked_array([block.column("group") for block in self._blocks])
            table = table.set_column(3, "group", groups.take(pa.array(_grouped(first_D, row_K, has_group_K))))
        row_T = row_K[np.concatenate(self._places)]
        self.__init__()  # type: ignore[misc]
        return table, row_T

    def _flush(self) -> None:
        if not self._pending:
            return
        texts, langs, groups = zip(*self._pending, strict=True)
        hash_B = text_hashes(texts)
        first, place_B = _first_of_equal(hash_B)
        has_group = np.fromiter(map(bool, groups), bool, count=len(groups))
        grouped = _grouped(first, place_B, has_group)
        rows = (first, first, grouped)
        columns = [
            pa.array(column, pa.string()).take(pa.array(row))
            for column, row in zip((texts, langs, groups), rows, strict=True)
        ]
        block = pa.RecordBatch.from_arrays(columns, names=_NAMES[1:])
        self._has_group.append(has_group[grouped])
        self._blocks.append(block)
        self._hashes.append(hash_B[first])
        self._places.append(place_B + np.int32(self._num_kept))
        self._num_kept += len(first)
        self._pending = []


_NAMES = ["_id", "text", "lang", "group"]


def text_hashes(texts: tuple[str, ...] | list[str]) -> np.ndarray:
    """uint64 [n]: a hash of the exact characters of each text."""
    digests = b"".join(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts
    )
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def hex_ids(hash_N: np.ndarray) -> pa.StringArray:
    """The hashes as texts of 16 hexadecimal digits."""
    digits = binascii.hexlify(hash_N.astype(">u8").tobytes())
    offsets = np.arange(len(hash_N) + 1, dtype=np.int32) * 16
    return pa.StringArray.from_buffers(len(hash_N), pa.py_buffer(offsets), pa.py_buffer(digits))


def _grouped(first_D: np.ndarray, row_K: np.ndarray, has_group_K: np.ndarray) -> np.ndarray:
    """int64 [D]: which of the equal texts names the group: the first that has one."""
    chosen_D = first_D.copy()
    with_group = np.flatnonzero(has_group_K)[::-1]
    chosen_D[row_K[with_group]] = with_group
    return chosen_D


def _first_of_equal(hash_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int64 [D] where each distinct value occurs first, ascending, and int32 [K]: each value's place in it."""
    _, first, inverse = np.unique(hash_K, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(first), np.int32)
    rank[order] = np.arange(len(first), dtype=np.int32)
    return first[order], rank[inverse]
