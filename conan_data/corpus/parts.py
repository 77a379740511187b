"""What one task leaves behind for the passes that need all documents at once.

A task writes its kept documents, its drops and its counts beside their names, and moves them there when they
are whole, the counts last, which are a mark of the others. So a part is finished exactly when its counts fit it, and
a run that was killed continues with the parts that are missing. Rows carry their place in the whole input (number of the file,
number of the row in it), by which all parts are put in one order that does not depend on the cut (see
`order`); within a part that place grows. Texts and all else of a document stay on disk, memory-mapped.
"""

import os
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conan_data.corpus.classify.config import CLASSIFIERS
from conan_data.corpus.report import examples
from conan_data.corpus.report.examples import Examples
from conan_data.sealed import read_mark, read_sealed, write_mark

BATCH_ROWS = 4096
BATCH_CHARACTERS = 1 << 23
"""Rows are written in batches of at most so many rows and about so many characters."""
FEW_ROWS = 32
"""Up to so many rows are read sooner one by one."""
KEPT = pa.schema(
    [
        pa.field("file_number", pa.int32()),
        pa.field("row_number", pa.int64()),
        pa.field("file", pa.string()),
        pa.field("place", pa.int64()),
        pa.field("id", pa.string()),
        pa.field("text", pa.large_string()),
        pa.field("lang", pa.string()),
        pa.field("lang_score", pa.float32()),
        pa.field("title", pa.string()),
        pa.field("url", pa.string()),
        pa.field("host", pa.string()),
        pa.field("source", pa.string()),
        pa.field("group", pa.string()),
        pa.field("tokens", pa.int32()),
        *(pa.field(name, pa.float32()) for name in CLASSIFIERS),
        pa.field("exact_hash", pa.binary(16)),
        pa.field("url_hash", pa.binary(16)),
        pa.field("band_keys", pa.large_binary()),
    ]
)
DROPPED = pa.schema(
    [
        pa.field("file_number", pa.int32()),
        pa.field("row_number", pa.int64()),
        pa.field("id", pa.string()),
        pa.field("file", pa.string()),
        pa.field("place", pa.int64()),
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("lang", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("raw", pa.string()),
    ]
)
TABLES = {"kept": KEPT, "dropped": DROPPED}


class PartWriter:
    """Writes part `rank` below `folder`; used as a context manager, it leaves a finished part or none."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder, self._rank = folder, rank
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
        self._characters = dict.fromkeys(TABLES, 0)
        self.counts: dict[str, Counter[str]] = {
            name: Counter()
            for name in ("labels", "masked", "drops", "other_languages", "fields", "rows", "parts")
        }
        self.examples = Examples()

    def __enter__(self) -> "PartWriter":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._writers = {name: pa.ipc.new_file(self._aside(name), schema) for name, schema in TABLES.items()}
        return self

    def add(self, table: str, values: tuple[Any, ...], *, characters: int = 0) -> None:
        """Adds a row to `kept` or `dropped`: its values in the order of the schema, and how long they are."""
        rows = self._rows[table]
        rows.append(values)
        self._characters[table] += characters
        if len(rows) == BATCH_ROWS or self._characters[table] >= BATCH_CHARACTERS:
            self._flush(table)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        for name, writer in self._writers.items():
            self._flush(name)
            writer.close()
        examples.write(Path(self._aside("examples")), self.examples.sorted())
        made = [part_path(self._folder, name, self._rank) for name in (*TABLES, "examples")]
        for name, path in zip((*TABLES, "examples"), made, strict=True):
            os.replace(self._aside(name), path)
        write_mark(part_path(self._folder, "counts", self._rank), made, {"counts": self.counts})

    def _flush(self, name: str) -> None:
        rows, schema = self._rows[name], TABLES[name]
        if rows:
            columns = [pa.array(values, kind) for values, kind in zip(zip(*rows), schema.types)]
            self._writers[name].write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            self.counts["rows"][name] += len(rows)
            rows.clear()
        self._characters[name] = 0

    def _aside(self, name: str) -> str:
        return f"{part_path(self._folder, name, self._rank)}.tmp"


class PartTable:
    """A memory-mapped Arrow file, by row numbers; nothing is read but what is asked for."""

    def __init__(self, path: Path) -> None:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self.batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        self.schema = reader.schema
        self.starts = np.cumsum([0, *(batch.num_rows for batch in self.batches)])
        """int64 [batches + 1]: the first row of each batch."""

    def __len__(self) -> int:
        return int(self.starts[-1])

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows `start` to `stop` of a column of numbers."""
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        found = []
        for number in range(first, len(self.batches)):
            low = self.starts[number]
            if low >= stop:
                break
            values = self.batches[number].column(name).to_numpy(zero_copy_only=False)
            found.append(values[max(start - low, 0) : stop - low])
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)

    def take(self, rows: np.ndarray, names: Sequence[str]) -> pa.Table:
        """The rows at `rows` (ascending), of the columns `names`."""
        schema = pa.schema([self.schema.field(name) for name in names])
        cuts = np.searchsorted(rows, self.starts)
        batches = []
        for number in np.flatnonzero(np.diff(cuts)):
            batch = self.batches[number].select(list(names))
            chosen = rows[cuts[number] : cuts[number + 1]] - self.starts[number]
            first, last = int(chosen[0]), int(chosen[-1])
            whole = last - first + 1 == len(chosen)
            batches.append(batch.slice(first, len(chosen)) if whole else batch.take(pa.array(chosen)))
        return pa.Table.from_batches(batches, schema=schema)

    def sizes(self, name: str, rows: np.ndarray) -> np.ndarray:
        """int64: the bytes of a column of long strings at `rows` (ascending)."""
        return pc.binary_length(self.take(rows, [name]).column(name)).to_numpy()

    def value(self, name: str, row: int) -> Any:
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.batches[number].column(name)[row - int(self.starts[number])].as_py()


class Parts:
    """All parts of a folder. A row's position counts the kept rows of all parts, then the dropped ones."""

    def __init__(self, folder: Path, num_parts: int) -> None:
        self.folder, self.num_parts = folder, num_parts
        self._tables: dict[int, PartTable] = {}

    @cached_property
    def offsets(self) -> np.ndarray:
        """int64 [2 * parts + 1]: the first position of each table, kept before dropped."""
        rows = [counts["rows"] for counts in read_counts(self.folder, self.num_parts)]
        return np.cumsum([0, *(found.get(name, 0) for name in TABLES for found in rows)])

    @property
    def num_kept(self) -> int:
        return int(self.offsets[self.num_parts])

    @property
    def num_rows(self) -> int:
        return int(self.offsets[-1])

    def table(self, number: int) -> PartTable:
        """Table `number` in the order of `offsets`."""
        if number not in self._tables:
            name, rank = list(TABLES)[number // self.num_parts], number % self.num_parts
            self._tables[number] = PartTable(part_path(self.folder, name, rank))
        return self._tables[number]

    def locate(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each position its table and its row there."""
        tables = np.searchsorted(self.offsets, positions, side="right") - 1
        return tables, positions - self.offsets[tables]

    def take(self, positions: np.ndarray, names: Sequence[str]) -> pa.Table:
        """The rows at `positions`, all kept or all dropped, in this order."""
        order = np.argsort(positions, kind="stable")
        tables, rows = self.locate(positions[order])
        found = [
            self.table(number).take(rows[tables == number], names) for number in np.unique(tables).tolist()
        ]
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables(found).combine_chunks().take(pa.array(back))

    def values(self, name: str, positions: np.ndarray) -> list[Any]:
        """One column of scattered rows, all kept or all dropped."""
        if len(positions) > FEW_ROWS:
            return self.take(positions, [name]).column(name).to_pylist()
        tables, rows = self.locate(positions)
        return [self.table(number).value(name, row) for number, row in zip(tables.tolist(), rows.tolist())]


def part_path(folder: Path, name: str, rank: int) -> Path:
    """Where the table `name`, or the counts, of a part lie."""
    suffix = {"counts": "json", "examples": "parquet"}.get(name, "arrow")
    return folder / f"{name}-{rank:05d}.{suffix}"


def missing_parts(folder: Path, num_parts: int) -> list[int]:
    """The parts that are not finished, or not as they were written."""
    return [rank for rank in range(num_parts) if read_mark(part_path(folder, "counts", rank)) is None]


def sum_counts(folder: Path, num_parts: int) -> dict[str, Counter[str]]:
    """The counts of all parts, added up."""
    totals: dict[str, Counter[str]] = {}
    for counts in read_counts(folder, num_parts):
        for name, values in counts.items():
            totals.setdefault(name, Counter()).update(values)
    return totals


def read_counts(folder: Path, num_parts: int) -> list[dict[str, dict[str, int]]]:
    """The counts of each part."""
    return [read_sealed(part_path(folder, "counts", rank))["counts"] for rank in range(num_parts)]
