"""What one task leaves behind for the step that needs all documents at once.

A task writes its kept documents, its drops and its counts beside their names, and moves them there when they
are whole, the counts last. So a part is finished exactly when its counts are there, and a run that was killed
continues with the parts that are missing. Documents carry their place in the whole input (number of the file,
number of the row in it), by which all parts are put in one order that does not depend on the cut. Texts stay
on disk, memory-mapped; in memory are about 500 bytes a document.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from conan_data.corpus.report import examples
from conan_data.corpus.report.examples import Examples

BATCH = 1000
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
        pa.field("source", pa.string()),
        pa.field("group", pa.string()),
        pa.field("exact_hash", pa.binary(16)),
        pa.field("band_keys", pa.binary()),
        pa.field("tokens", pa.int32()),
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


class PartWriter:
    """Writes part `rank` below `folder`; used as a context manager, it leaves a finished part or none."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder, self._rank = folder, rank
        self._tables = {"kept": KEPT, "dropped": DROPPED}
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in self._tables}
        self.counts: dict[str, Counter[str]] = {"labels": Counter()}
        self.examples = Examples()

    def __enter__(self) -> "PartWriter":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._writers = {
            name: pa.ipc.new_file(self._aside(name), schema) for name, schema in self._tables.items()
        }
        return self

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Adds a row to `kept` or `dropped`."""
        rows = self._rows[table]
        rows.append(row)
        if len(rows) == BATCH:
            self._flush(table)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for name, writer in self._writers.items():
            if kind is None:
                self._flush(name)
            writer.close()
        if kind is not None:
            return
        examples.write(Path(self._aside("examples")), self.examples.sorted())
        for name in (*self._tables, "examples"):
            os.replace(self._aside(name), part_path(self._folder, name, self._rank))
        aside = Path(self._aside("counts"))
        aside.write_text(json.dumps(self.counts, ensure_ascii=False), encoding="utf-8")
        os.replace(aside, part_path(self._folder, "counts", self._rank))

    def _flush(self, name: str) -> None:
        self._writers[name].write_batch(
            pa.RecordBatch.from_pylist(self._rows[name], schema=self._tables[name])
        )
        self._rows[name].clear()

    def _aside(self, name: str) -> str:
        return f"{part_path(self._folder, name, self._rank)}.tmp"


class Table:
    """One table of all parts, in the order of the input. Columns come as lists; rows of the text column one
    by one, from disk.
    """

    def __init__(self, folder: Path, name: str, num_parts: int) -> None:
        tables = [
            pa.ipc.open_file(pa.memory_map(str(part_path(folder, name, rank)))).read_all()
            for rank in range(num_parts)
        ]
        self._table = pa.concat_tables(tables)
        places = [self._table.column(key).to_numpy() for key in ("row_number", "file_number")]
        self._order = np.lexsort(places)

    def __len__(self) -> int:
        return len(self._order)

    def column(self, name: str) -> list[Any]:
        values = self._table.column(name).to_pylist()
        return [values[place] for place in self._order]

    def text(self, index: int) -> str:
        return self._table.column("text")[int(self._order[index])].as_py()


def part_path(folder: Path, name: str, rank: int) -> Path:
    """Where the table `name`, or the counts, of a part lie."""
    suffix = {"counts": "json", "examples": "parquet"}.get(name, "arrow")
    return folder / f"{name}-{rank:05d}.{suffix}"


def missing_parts(folder: Path, num_parts: int) -> list[int]:
    """The parts that are not finished."""
    return [rank for rank in range(num_parts) if not part_path(folder, "counts", rank).exists()]


def sum_counts(folder: Path, num_parts: int) -> dict[str, Counter[str]]:
    """The counts of all parts, added up."""
    totals: dict[str, Counter[str]] = {}
    for counts in _read_counts(folder, num_parts):
        for name, values in counts.items():
            totals.setdefault(name, Counter()).update(values)
    return totals


def _read_counts(folder: Path, num_parts: int) -> Iterable[dict[str, dict[str, int]]]:
    return (
        json.loads(part_path(folder, "counts", rank).read_text(encoding="utf-8")) for rank in range(num_parts)
    )
