"""Sets that a corpus is held against: what duplicates one of their documents is dropped.

A corpus of ours brings the hashes and band keys of its documents (see `index`), so last month's signatures
are not made again; its texts are read from its shards, and only those that share a band key with a new
document. Of every other set (files, folders, evaluation sets, a corpus of other settings) they are computed
here, a task a file.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from conan_data.corpus.parts import PartTable
from conan_data.corpus.records import open_records, write_records


@dataclasses.dataclass(frozen=True)
class Reference:
    """A table of documents with `id`, `exact_hash`, `url_hash` and `band_keys`, and where their texts are."""

    name: str
    """What a drop names: the published name of what the user gave."""
    table: Path
    shard: Path | None
    """Parquet file with the texts, row by row; None where the table holds them itself or there are none."""
    near: bool = True
    """Whether there are texts to compare with."""

    @property
    def num_documents(self) -> int:
        return len(PartTable(self.table))


class References:
    """The documents of all references, numbered from `first` on."""

    def __init__(self, references: Sequence[Reference], first: int) -> None:
        self.references = references
        self.tables = [PartTable(reference.table) for reference in references]
        self.starts = first + np.cumsum([0, *map(len, self.tables)])
        """int64 [references + 1]: the first number of each."""
        self._extracts: dict[int, tuple[np.ndarray, PartTable]] = {}

    @property
    def num_documents(self) -> int:
        return int(self.starts[-1] - self.starts[0])

    def locate(self, number: int) -> tuple[int, int]:
        """The reference of a number, and its row there."""
        place = int(np.searchsorted(self.starts, number, side="right")) - 1
        return place, number - int(self.starts[place])

    def describe(self, number: int) -> str:
        """The set and the id of a document."""
        place, row = self.locate(number)
        return f"{self.references[place].name}: {self.tables[place].value('id', row)}"

    def texts(self, numbers: np.ndarray, extracts: Path) -> pa.LargeStringArray:
        """The texts of documents whose numbers were given to `extract` before."""
        found = [pa.array([], pa.large_string())]
        for table, rows in self._tables_of(numbers, extracts):
            found.append(table.take(rows, ["text"]).column("text").combine_chunks())
        return pa.concat_arrays(found)

    def sizes(self, numbers: np.ndarray, extracts: Path) -> np.ndarray:
        """int64: the bytes of those texts; `numbers` are ascending."""
        tables = self._tables_of(numbers, extracts)
        return np.concatenate(
            [np.zeros(0, dtype=np.int64), *(table.sizes("text", rows) for table, rows in tables)]
        )

    def _tables_of(self, numbers: np.ndarray, extracts: Path) -> Iterator[tuple[PartTable, np.ndarray]]:
        """The tables with the texts of documents (ascending numbers), and their rows there."""
        cuts = np.searchsorted(numbers, self.starts)
        for place in np.flatnonzero(np.diff(cuts)).tolist():
            rows = numbers[cuts[place] : cuts[place + 1]] - self.starts[place]
            if self.references[place].shard is None:
                yield self.tables[place], rows
                continue
            if place not in self._extracts:
                extracted = open_records(extracts / f"rows-{place:05d}", np.int64)
                self._extracts[place] = extracted, PartTable(extracts / f"texts-{place:05d}.arrow")
            extracted, table = self._extracts[place]
            yield table, np.searchsorted(extracted, rows)

    def extract(self, place: int, rows: np.ndarray, extracts: Path) -> None:
        """Copies the texts of `rows` (ascending) of a shard to where they can be read one by one."""
        shard = self.references[place].shard
        assert shard is not None
        extracts.mkdir(parents=True, exist_ok=True)
        schema = pa.schema([pa.field("text", pa.large_string())])
        with (
            pq.ParquetFile(shard) as file,
            pa.ipc.new_file(str(extracts / f"texts-{place:05d}.arrow"), schema) as writer,
        ):
            start = 0
            for number in range(file.num_row_groups):
                stop = start + file.metadata.row_group(number).num_rows
                wanted = rows[(rows >= start) & (rows < stop)] - start
                if len(wanted):
                    column = file.read_row_group(number, columns=["text"]).column("text").combine_chunks()
                    taken = column.cast(pa.large_string()).take(pa.array(wanted))
                    writer.write_batch(pa.RecordBatch.from_arrays([taken], schema=schema))
                start = stop
        write_records(extracts / f"rows-{place:05d}", rows)
