"""Records grouped by a hash, out of core: written to files by the top bits of their hash, so that those of one
hash come together in one partition that fits into memory.

Hashes are uniform, so partitions are of equal size, but for one hash that very many records have (a page that
is copied everywhere). A partition that is too large is therefore read in chunks of its documents' numbers:
whoever groups it reduces each chunk to one record a hash and goes on.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from conan_data.corpus.dedup.shingles import hasher
from conan_data.corpus.records import open_records, write_records


class SpillWriter:
    """Writes records (with a field `hash`, uint64) to `path`, sorted by partition a buffer at a time; used as
    a context manager, it leaves a whole file or none.
    """

    def __init__(self, path: Path, dtype: np.dtype, bits: int, *, buffer_bytes: int) -> None:
        self._path, self._dtype, self._bits = path, dtype, bits
        self._limit = max(1, buffer_bytes // dtype.itemsize)
        self._buffer: list[np.ndarray] = []
        self._waiting = 0
        self._cuts: list[np.ndarray] = []
        self._written = 0

    def __enter__(self) -> "SpillWriter":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(f"{self._path}.tmp", "wb")
        return self

    def add(self, records: np.ndarray) -> None:
        """Adds records whose field `number` grows from one to the next, or stays."""
        self._buffer.append(records)
        self._waiting += len(records)
        if self._waiting >= self._limit:
            self._flush()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._file.close()
        if kind is None:
            os.replace(f"{self._path}.tmp", self._path)
            write_records(cuts_path(self._path), np.array(self._cuts, dtype=np.int64).reshape(-1))

    def _flush(self) -> None:
        if not self._waiting:
            return
        records = np.concatenate(self._buffer)
        partitions = partition(records["hash"], self._bits)
        if self._bits:
            order = np.argsort(partitions, kind="stable")
            records, partitions = records[order], partitions[order]
        cuts = np.searchsorted(partitions, np.arange((1 << self._bits) + 1))
        self._file.write(np.ascontiguousarray(records).view(np.uint8).data)
        self._cuts.append(cuts + self._written)
        self._written += len(records)
        self._buffer, self._waiting = [], 0


class Spill:
    """The records of all files of a spill, by partition."""

    def __init__(self, paths: Sequence[Path], dtype: np.dtype, bits: int) -> None:
        self._dtype = dtype
        self._files = [open_records(path, dtype) for path in paths]
        self._cuts = [open_records(cuts_path(path), np.int64).reshape(-1, (1 << bits) + 1) for path in paths]

    def size(self, number: int) -> int:
        """Records of partition `number`."""
        return sum(int((cuts[:, number + 1] - cuts[:, number]).sum()) for cuts in self._cuts)

    def chunks(self, number: int, max_records: int, *, records_a_number: int = 1) -> Iterator[np.ndarray]:
        """Partition `number`: whole where it has at most `max_records`, else cut by the field `number`, which
        at most `records_a_number` records share, in growing order.
        """
        segments = list(self.segments(number))
        if sum(map(len, segments)) <= max_records:
            yield np.concatenate([*segments, np.zeros(0, dtype=self._dtype)])
            return
        first = min(int(segment["number"][0]) for segment in segments)
        last = max(int(segment["number"][-1]) for segment in segments)
        step = max(1, max_records // records_a_number)
        for low in range(first, last + 1, step):
            cuts = [np.searchsorted(segment["number"], [low, low + step]) for segment in segments]
            yield np.concatenate([segment[a:b] for segment, (a, b) in zip(segments, cuts)])

    def segments(self, number: int) -> Iterator[np.ndarray]:
        """Partition `number` as it lies in the files, mapped."""
        for file, cuts in zip(self._files, self._cuts):
            for start, stop in cuts[:, [number, number + 1]].tolist():
                if stop > start:
                    yield file[start:stop]


def repeated(chunks: Callable[[], Iterable[np.ndarray]]) -> Callable[[], Iterator[np.ndarray]]:
    """The same chunks without the records whose hash no other record has: mostly few are left to sort."""
    hashes, counts = np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
    for chunk in chunks():
        hashes, _, counts = hasher().tally(
            np.concatenate([hashes, chunk["hash"]]),
            np.zeros(len(hashes) + len(chunk), dtype=np.int64),
            np.concatenate([counts, np.ones(len(chunk), dtype=np.int64)]),
        )
    shared = hashes[counts > 1]
    return lambda: (
        chunk[hasher().find(shared, np.ascontiguousarray(chunk["hash"])) >= 0] for chunk in chunks()
    )


def partition(hashes: np.ndarray, bits: int) -> np.ndarray:
    """uint16: the top `bits` (at most 16) of uint64 hashes."""
    if bits == 0:
        return np.zeros(len(hashes), dtype=np.uint16)
    return (hashes >> np.uint64(64 - bits)).astype(np.uint16)


def bits_for(num_bytes: int, limit: int, *, at_least: int = 1) -> int:
    """The bits by which `num_bytes` are cut into partitions of at most `limit` bytes, `at_least` so many."""
    wanted = max(at_least, -(-num_bytes // max(1, limit)))
    return min((wanted - 1).bit_length(), 12)


def cuts_path(path: Path) -> Path:
    """Where a spill file's list of segments lies; it is written last."""
    return path.with_name(path.name + ".cuts")
