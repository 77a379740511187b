"""Pairs on disk while they are built, and the files that they are published in."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from conan_data.build_pairs.admit import KEYS
from conan_data.build_pairs.kinds import COLUMNS

ROW_GROUP = 1 << 16
_NAMES = ("kind", "instruction", "lang_query", "lang_document", "source", "host")
"""Columns with few values, which Parquet stores as dictionaries."""


class PairStore:
    """Admitted pairs, in a file in the order in which they came; their keys are in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._keys: dict[str, list[np.ndarray]] = {name: [] for name in KEYS}
        self._sources: list[np.ndarray] = []
        self._places: dict[str, int] = {}
        self.keys: dict[str, np.ndarray] = {}
        self.sources = np.zeros(0, np.uint16)

    @property
    def source_names(self) -> list[str]:
        return list(self._places)

    def add(self, pairs: pl.DataFrame) -> None:
        """Add pairs of one source, with their `KEYS`."""
        for name in KEYS:
            self._keys[name].append(pairs.get_column(name).to_numpy())
        place = self._places.setdefault(pairs.get_column("source")[0], len(self._places))
        self._sources.append(np.full(pairs.height, place, np.uint16))
        table = pairs.select(COLUMNS).to_arrow()
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_stream(str(self._path), table.schema, options=options)
        self._writer.write_table(table)

    def finish(self) -> "PairStore":
        """End the file, and put the keys together."""
        if self._writer is not None:
            self._writer.close()
        for name in KEYS:
            self.keys[name] = np.concatenate([np.zeros(0, np.uint64), *self._keys.pop(name)])
        self.sources = np.concatenate([self.sources, *self._sources])
        self._sources = []
        return self

    def frames(self) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield the number of its first pair, and the pairs, of each part of the file."""
        if self._writer is None:
            return
        start = 0
        with pa.OSFile(str(self._path)) as file:
            for batch in pa.ipc.open_stream(file):
                frame = pl.from_arrow(pa.table(batch))
                assert isinstance(frame, pl.DataFrame)
                yield start, frame
                start += frame.height

    def remove(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


class ShardWriter:
    """Writes rows into files of `rows_per_file`, in row groups of one size, so that the same rows give the same bytes."""

    def __init__(
        self, directory: Path, schema: pa.Schema, *, rows_per_file: int, name: str = "pairs"
    ) -> None:
        """`name` is what the files are called, before their number."""
        directory.mkdir(parents=True)
        self._name = name
        self._directory, self._schema, self._rows_per_file = directory, schema, rows_per_file
        self._pending: list[pa.Table] = []
        self._num_pending = 0
        self._num_files = 0
        self._writer: pq.ParquetWriter | None = None
        self._num_written = 0
        """Rows of the open file."""

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if kind is None:
            self.close()
        elif self._writer is not None:
            self._writer.close()

    def close(self) -> None:
        """Write what is pending, and end the last file."""
        self._write(self._num_pending)
        if self._writer is not None:
            self._writer.close()

    def add(self, rows: pa.Table) -> None:
        """Add rows, whose columns are those of the schema."""
        self._pending.append(rows.cast(self._schema))
        self._num_pending += rows.num_rows
        size = min(ROW_GROUP, self._rows_per_file)
        while self._num_pending >= size:
            self._write(size)

    def _write(self, num_rows: int) -> None:
        """Write the first pending rows as row groups, none of which goes beyond its file."""
        table = pa.concat_tables(self._pending) if self._pending else self._schema.empty_table()
        self._pending, self._num_pending = [table.slice(num_rows)], self._num_pending - num_rows
        group = table.slice(0, num_rows)
        while group.num_rows:
            room = min(group.num_rows, self._rows_per_file - self._num_written)
            if self._writer is None:
                path = self._directory / f"{self._name}-{self._num_files:05d}.parquet"
                self._writer = pq.ParquetWriter(
                    path,
                    self._schema,
                    compression="zstd",
                    use_dictionary=[name for name in _NAMES if name in self._schema.names],
                )
                self._num_files += 1
            self._writer.write_table(group.slice(0, room).combine_chunks())
            self._num_written += room
            group = group.slice(room)
            if self._num_written == self._rows_per_file:
                self._writer.close()
                self._writer, self._num_written = None, 0
