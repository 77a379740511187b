"""One order of all rows, that of the input, whatever the cut into parts: what the passes after the first go by.

A row's number is its place in that order; its position is where it lies in the parts (see `parts.Parts`).
Two files of int64 lead from one to the other, 16 bytes a row. They are made by merging the parts, each of
which is in order already, a window at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from conan_data.corpus.parts import Parts
from conan_data.corpus.records import new_records, open_records

WINDOW = 1 << 20
"""Rows that are merged at a time, over all parts."""
ROW_BITS = 40
"""Bits of a row's number in its file; the rest of 63 is the file's."""


class Order:
    """Numbers and positions of all rows."""

    def __init__(self, folder: Path) -> None:
        self.numbers = open_records(folder / "numbers", np.int64)
        """int64 [rows]: the number of the row at each position."""
        self.positions = open_records(folder / "positions", np.int64)
        """int64 [rows]: the position of the row of each number."""

    def __len__(self) -> int:
        return len(self.numbers)


def write_order(parts: Parts, folder: Path) -> None:
    """Writes `numbers` and `positions`."""
    offsets, count = parts.offsets, parts.num_rows
    with (
        new_records(folder / "positions", np.int64, count) as positions,
        new_records(folder / "numbers", np.int64, count) as numbers,
    ):
        done = 0

        def keys(table: int, start: int, stop: int) -> np.ndarray:
            found = parts.table(table)
            files = found.column("file_number", start, stop).astype(np.int64)
            return (files << ROW_BITS) | found.column("row_number", start, stop)

        for places in merged(keys, np.diff(offsets).tolist(), WINDOW):
            numbers[places] = np.arange(done, done + len(places))
            positions[done : done + len(places)] = places
            done += len(places)


def merged(
    keys: Callable[[int, int, int], np.ndarray], sizes: Sequence[int], window: int
) -> Iterator[np.ndarray]:
    """Positions (lists one behind the other) in the order of their keys, in blocks of about `window`.

    `keys(i, start, stop)` gives keys of list i, which grow and are all different; `sizes` are the lengths.
    """
    offsets = np.cumsum([0, *sizes])
    starts = dict.fromkeys((number for number, size in enumerate(sizes) if size), 0)
    while starts:
        share = max(1, window // len(starts))
        heads = {i: keys(i, start, min(start + share, sizes[i])) for i, start in starts.items()}
        # Up to the smallest last key everything that comes is in the windows.
        ends = [head[-1] for i, head in heads.items() if starts[i] + len(head) < sizes[i]]
        if ends:
            heads = {i: head[: np.searchsorted(head, min(ends), side="right")] for i, head in heads.items()}
        places = np.concatenate(
            [offsets[i] + starts[i] + np.arange(len(head), dtype=np.int64) for i, head in heads.items()]
        )
        yield places[np.argsort(np.concatenate(list(heads.values())), kind="stable")]
        starts = {i: start + len(heads[i]) for i, start in starts.items() if start + len(heads[i]) < sizes[i]}
