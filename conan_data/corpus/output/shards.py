"""One file of the corpus, and the file of hashes beside it that later runs are held against."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from conan_data import tables
from conan_data.corpus.dedup.index import INDEX
from conan_data.corpus.output.names import Names
from conan_data.corpus.workspace import Workspace, facts, opened
from conan_data.files import written_aside

ROW_GROUP = 5000
ROW_GROUP_BYTES = 1 << 25
"""A row group has at most so many rows and so many bytes of text, or one document."""
REPEATED = ["lang", "host", "source", "file"]
"""Columns that a dictionary makes smaller."""


def write_shard(work: Workspace, numbers: np.ndarray, data: Path, index: Path) -> None:
    """Writes the documents `numbers` to `data`, and their hashes to `index`, row by row the same."""
    open_, names = opened(work), Names(work)
    sizes = facts(work)["bytes"]
    columns = [*tables.DOCUMENT.names, *(name for name in INDEX.names if name != "id")]
    # `data` is left last, so that its index is there when it is.
    with (
        written_aside(data) as data_aside,
        written_aside(index) as index_aside,
        pq.ParquetWriter(data_aside, tables.DOCUMENT, compression="zstd", use_dictionary=REPEATED) as writer,
        pa.ipc.new_file(str(index_aside), INDEX) as hashes,
    ):
        for start, stop in row_groups(sizes[open_.order.positions[numbers]]):
            chosen = np.asarray(numbers[start:stop])
            found = open_.parts.take(open_.order.positions[chosen], columns)
            ids = names.ids(chosen, found.column("id").to_pylist())
            groups = names.groups(chosen, ids, found.column("group").to_pylist())
            found = _replaced(found, {"id": ids, "group": groups})
            writer.write_table(tables.check(found.select(tables.DOCUMENT.names), tables.DOCUMENT, data))
            hashes.write_table(found.select(INDEX.names).cast(INDEX))


def row_groups(sizes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cuts documents of `sizes` bytes into row groups."""
    start = 0
    while start < len(sizes):
        ends = np.cumsum(sizes[start : start + ROW_GROUP])
        stop = start + max(1, int(np.searchsorted(ends, ROW_GROUP_BYTES, side="right")))
        yield start, min(stop, len(sizes))
        start = stop


def _replaced(table: pa.Table, values: dict[str, list[str]]) -> pa.Table:
    for name, column in values.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(column, pa.string()))
    return table
