"""Arrays of fixed-size records in files: what is kept of each document, without memory that grows with the
corpus.

A file is written aside and moved to its name, so that one that is there is whole. Space is taken before a
file is mapped: a full disk is then an error that can be reported, where writing into a hole of a mapped file
would kill the process.
"""

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from conan_data.files import written_aside


def write_records(path: Path, records: np.ndarray) -> None:
    """Writes all of `records` to `path`."""
    with records_file(path) as add:
        add(records)


def open_records(path: Path, dtype: np.dtype | type) -> np.ndarray:
    """The records of a file, memory-mapped for reading."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return np.zeros(0, dtype=dtype)
        # A plain array, since each slice of an `np.memmap` costs several times as much.
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=dtype)


@contextmanager
def new_records(path: Path, dtype: np.dtype | type, num_records: int) -> Iterator[np.ndarray]:
    """`num_records` zeros to write into, memory-mapped, which lie at `path` when the block is left without an
    error.
    """
    size = num_records * np.dtype(dtype).itemsize
    with written_aside(path) as aside:
        with open(aside, "wb") as file:
            if size:
                os.posix_fallocate(file.fileno(), 0, size)
        records = np.memmap(aside, dtype=dtype, mode="r+") if size else np.zeros(0, dtype=dtype)
        yield records
        if isinstance(records, np.memmap):
            records.flush()


def blocks(num_records: int, size: int) -> Iterator[slice]:
    """`num_records` cut into slices of at most `size`."""
    return (slice(start, min(start + size, num_records)) for start in range(0, num_records, size))


@contextmanager
def records_file(path: Path) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends records to the file that lies at `path` when the block is left without an
    error.
    """
    with written_aside(path) as aside, open(aside, "wb") as file:

        def add(records: np.ndarray) -> None:
            if len(records):
                file.write(np.ascontiguousarray(records).view(np.uint8).data)

        yield add
