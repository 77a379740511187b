"""Read pairs in parts of one size, whatever files they lie in."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from conan_data import artifact, tables
from conan_data.build_pairs.kinds import COLUMNS, direction
from conan_data.pairs.pair_set import NUM_EXAMPLES
from conan_data.pairs.rows import pair_sources, read_pair_rows
from conan_data.readers import Broken
from conan_data.readers.account import Account

UNKNOWN_KIND = "pair"
"""Kind of pairs that come from other files than ours."""


@dataclass
class PairReader:
    """The pairs of all inputs; they can be read several times, in the same order."""

    inputs: tuple[str, ...]
    split: str
    part_pairs: int
    num_broken: Counter[str] = field(default_factory=Counter)
    """Rows that cannot be used, by reason, as counted when they were last read."""
    broken: list[Broken] = field(default_factory=list)
    account: Account = field(default_factory=Account)

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield the pairs, `part_pairs` at a time, with the `direction` of their languages."""
        self.num_broken, self.broken, self.account = Counter(), [], Account()
        held: list[pl.DataFrame] = []
        num_held = 0
        for frame in self._frames():
            held.append(frame)
            num_held += frame.height
            while num_held >= self.part_pairs:
                joined = pl.concat(held)
                yield _with_direction(joined.head(self.part_pairs))
                held, num_held = [joined.slice(self.part_pairs)], num_held - self.part_pairs
        if num_held:
            yield _with_direction(pl.concat(held))

    def _frames(self) -> Iterator[pl.DataFrame]:
        for name in self.inputs:
            if is_ours(name):
                for path in artifact.open_artifact(name).files(".parquet"):
                    if path.is_relative_to(Path(name) / "data"):
                        yield from _table_frames(path, self.part_pairs)
            else:
                for file, source in pair_sources([name]):
                    yield from self._row_frames(file, source)

    def _row_frames(self, path: str, source: str) -> Iterator[pl.DataFrame]:
        rows = read_pair_rows(path, self.account, source=source, split=self.split)
        while batch := list(islice(rows, self.part_pairs)):
            pairs = []
            for row in batch:
                if isinstance(row, Broken):
                    self._refuse(row)
                    continue
                pairs += [
                    (row.query, text.text, UNKNOWN_KIND, row.lang, text.lang, row.source, text.group, "")
                    for text in row.positives
                ]
                if not row.positives:
                    self._refuse(Broken(row.file, row.place, "no-positive", row.query))
            yield pl.DataFrame(pairs, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")

    def _refuse(self, row: Broken) -> None:
        self.num_broken[row.reason] += 1
        if len(self.broken) < NUM_EXAMPLES:
            self.broken.append(row)


def is_ours(name: str) -> bool:
    """Return whether an input is an artifact of pairs."""
    return artifact.is_artifact(name) and artifact.open_artifact(name).manifest["kind"] == "pairs"


def _table_frames(path: Path, size: int) -> Iterator[pl.DataFrame]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=size, columns=tables.PAIRS.names):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame.select(COLUMNS)


def _with_direction(frame: pl.DataFrame) -> pl.DataFrame:
    languages = frame.select(pl.struct("lang_query", "lang_document").alias("pair")).to_series()
    names = {(pair["lang_query"], pair["lang_document"]) for pair in languages.unique().to_list()}
    name = pl.lit(None, pl.String)
    for query, document in sorted(names):
        is_own = (pl.col("lang_query") == query) & (pl.col("lang_document") == document)
        name = pl.when(is_own).then(pl.lit(direction(query, document))).otherwise(name)
    return frame.with_columns(direction=name)
