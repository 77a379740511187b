"""The rows of a part of a retrieval set as columns, with the same meaning as row by row (`retrieval_rows`).

Whole blocks of lines are parsed at once where nothing about them is in doubt: every line is one object, every column
that is used has one type. A block that is not so, with a broken line or ids that are now text and now numbers, is read
row by row. So a set of millions of rows takes seconds, and one bad line costs its block a moment and its row alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from conan_data.public_names import public_name
from conan_data.readers import MAX_LINE_BYTES, WHOLE, Broken, Row, broken
from conan_data.readers.json_array import is_array
from conan_data.readers.json_lines import parse_lines
from conan_data.readers.lines import lines
from conan_data.readers.streams import unpacked_name
from conan_data.retrieval_rows import Part, PartRows, grade, header_of, identifier

_JSON_LINES = (".jsonl", ".ndjson", ".json")
_ROWS = 1 << 14
"""Rows that are held as objects at once."""
_EMPTY: tuple[Any, ...] = (None, "", [], {})
_TEXTS = ("title", "text")


@dataclass
class PartFrame:
    """Reads the files of a part. After `read`: `fields` are the columns by their names in the files, `seen` those that
    they stand for, `unused` those that hold something and have no meaning here, `broken` the rows that cannot be read.
    """

    part: Part
    files: list[Path]
    seen: set[str] = field(default_factory=set)
    broken: list[tuple[int, Broken]] = field(default_factory=list)
    """With the number of the file."""

    def __post_init__(self) -> None:
        self._rows = PartRows(self.part)
        self.fields, self.unused = self._rows.fields, self._rows.unused
        self._schema: dict[str, Any] = {
            **{name: pl.Int32 if name == "score" else pl.String for name in self.part.columns},
            "refused": pl.String,
            "file": pl.UInt32,
            "place": pl.UInt32,
        }

    def read(self) -> pl.DataFrame:
        """Return the rows: the columns of the part, absent texts null and absent ids ""; `refused`, why a value cannot be
        used ("" where all can); `file` and `place`.
        """
        frames = [pl.DataFrame(schema=self._schema)]
        for number, file in enumerate(self.files):
            start = len(frames)
            fields, unused, seen = set(self.fields), set(self.unused), set(self.seen)
            for frame in self._fast(number, file):
                if frame is None:
                    del frames[start:]
                    for known, before in ((self.fields, fields), (self.unused, unused), (self.seen, seen)):
                        known.intersection_update(before)
                    frames += self._by_rows(number, self._rows.of_file(file))
                    break
                frames.append(frame)
        return pl.concat(frames)

    def _fast(self, number: int, file: Path) -> Iterator[pl.DataFrame | None]:
        """The rows of a file in blocks; None where all of it must be read row by row."""
        kind = unpacked_name(str(file)).lower()
        if kind.endswith(".parquet"):
            yield from self._parquet(number, file)
        elif kind.endswith(_JSON_LINES):
            if kind.endswith(".json") and is_array(str(file)):
                yield None
            else:
                yield from self._json_lines(number, file)
        elif kind.endswith(_DELIMITED) or "." not in file.name or self.part.name == "qrels":
            yield from self._delimited(number, file, "," if kind.endswith(".csv") else "\t")
        else:
            yield None

    def _json_lines(self, number: int, file: Path) -> Iterator[pl.DataFrame | None]:
        name = public_name(file)
        for batch in lines(str(file), name, WHOLE, max_bytes=MAX_LINE_BYTES):
            if isinstance(batch, Broken):
                self.broken.append((number, batch))
                continue
            first, texts = batch
            table = _parse(texts)
            frame = None if table is None else self._of_table(table, number, first)
            if frame is not None:
                yield frame
            else:
                yield from self._by_rows(number, self._rows.renamed(parse_lines(texts, first, name)))

    def _parquet(self, number: int, file: Path) -> Iterator[pl.DataFrame | None]:
        first = 1
        try:
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(_ROWS):
                    table = pa.Table.from_batches([batch])
                    yield (frame := self._of_table(table, number, first))
                    if frame is None:
                        return
                    first += batch.num_rows
        except (pa.ArrowException, OSError):
            yield None

    def _delimited(self, number: int, file: Path, delimiter: str) -> Iterator[pl.DataFrame | None]:
        names: tuple[str, ...] = ()
        for batch in lines(str(file), "", WHOLE, max_bytes=MAX_LINE_BYTES):
            if isinstance(batch, Broken):
                yield None
                return
            first, texts = batch
            if not names:
                values = texts[0].split(delimiter.encode())
                if len(values) == 1:
                    yield None
                    return
                names, is_header = header_of(
                    [value.decode(errors="replace") for value in values], self.part, public_name(file)
                )
                first, texts = (first + 1, texts[1:]) if is_header else (first, texts)
            table = _split(texts, names, delimiter) if texts else None
            frame = None if table is None else self._of_table(table, number, first)
            if texts and frame is None:
                yield None
                return
            if frame is not None:
                yield frame

    def _by_rows(self, number: int, rows: Iterator[Row | Broken]) -> Iterator[pl.DataFrame]:
        while taken := list(islice(rows, _ROWS)):
            values = []
            for row in taken:
                if isinstance(row, Broken):
                    self.broken.append((number, row))
                    continue
                self.seen.update(row.values)
                values.append((*_of_row(self.part, row.values), number, row.place))
            yield pl.DataFrame(values, schema=self._schema, orient="row")

    def _of_table(self, table: pa.Table, number: int, first: int) -> pl.DataFrame | None:
        """The rows of a table; None where its columns are in doubt."""
        columns: dict[str, pl.Expr | pl.Series] = {}
        by_name = {name: _own(table, own) for name, own in self.part.columns.items()}
        metadata = table.column("metadata") if "metadata" in table.column_names else None
        inner = _flat(metadata) if metadata is not None and pa.types.is_struct(metadata.type) else {}
        if (
            None in by_name.values()
            or (metadata is not None and not inner)
            or len(set(table.column_names)) < table.num_columns
        ):
            return None
        for name, own_names in self.part.columns.items():
            own = by_name[name] or ""
            series = _series(table.column(own), is_id=name in self.part.ids) if own else None
            if own and series is None:
                return None
            for other in (other for other in own_names if other in inner):
                found = _series(inner[other], is_id=False)
                if found is None:
                    return None
                found = pl.select(pl.when(found != "").then(found)).to_series()
                if series is None:
                    series = found
                else:
                    series = pl.select(
                        pl.when(series.fill_null("") != "").then(series).otherwise(found)
                    ).to_series()
            columns[name] = (
                series if series is not None else pl.Series([None] * table.num_rows, dtype=pl.String)
            )
        self.fields.update(table.column_names)
        self.seen.update(self.part.columns if inner else [name for name, own in by_name.items() if own])
        self._note_unused(table, {own for own in by_name.values() if own}, inner)
        places = pl.int_range(first, first + table.num_rows, dtype=pl.UInt32, eager=True)
        frame = pl.DataFrame(columns).with_columns(
            refused=pl.lit(""), file=pl.lit(number, dtype=pl.UInt32), place=places
        )
        return _graded(_with_ids(frame, self.part)).select(list(self._schema))

    def _note_unused(self, table: pa.Table, used: set[str], inner: Mapping[str, pa.ChunkedArray]) -> None:
        known = {own for own_names in self.part.columns.values() for own in own_names}
        others = {name: table.column(name) for name in table.column_names if name and name not in used}
        if inner:
            others.pop("metadata", None)
            others |= {f"metadata.{key}": column for key, column in inner.items() if key not in known}
        self.unused.update(
            name for name, column in others.items() if name not in self.unused and _holds(column)
        )


_DELIMITED = (".tsv", ".csv", ".txt", ".qrels", ".trec")


def refused_rows(part: Part, frame: pl.DataFrame, files: list[Path]) -> Iterator[tuple[int, Broken]]:
    """Yield the rows of a frame with `reason`, each with the number of its file, as broken ones."""
    for row in frame.iter_rows(named=True):
        values = {name: row[name] for name in part.columns if row[name] is not None}
        yield row["file"], broken(Row(values, public_name(files[row["file"]]), row["place"]), row["reason"])


def _parse(texts: list[bytes]) -> pa.Table | None:
    """A block of JSON lines as a table; None where the parser for single lines might see it otherwise."""
    if not all(line.startswith(b"{") for line in texts):
        return None
    block = b"\n".join(texts)
    try:
        block.decode()
        options = pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1)
        table = pa.json.read_json(pa.BufferReader(block), options)
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    # Arrow takes NaN and Infinity for numbers, which are no JSON.
    is_odd = "double" in str(table.schema) and (b"NaN" in block or b"Inf" in block)
    return None if is_odd or table.num_rows != len(texts) else table


def _split(texts: list[bytes], names: tuple[str, ...], delimiter: str) -> pa.Table | None:
    """A block of lines of fields as a table; None where quotes, blank lines or ragged ones are in it."""
    block = b"\n".join(texts)
    if b'"' in block or b"\r" in block or not all(texts) or len(set(names)) < len(names):
        return None
    try:
        block.decode()
        table = pa.csv.read_csv(
            pa.BufferReader(block),
            pa.csv.ReadOptions(use_threads=False, column_names=list(names), block_size=len(block) + 1),
            pa.csv.ParseOptions(delimiter=delimiter, quote_char=False),
            pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    return table if table.num_rows == len(texts) else None


def _own(table: pa.Table, own_names: tuple[str, ...]) -> str | None:
    """The column that stands for one of ours: "" where none does, None where that may differ by row."""
    there = [name for name in own_names if name in table.column_names]
    if len(there) > 1 and table.column(there[0]).null_count:
        return None
    return there[0] if there else ""


def _flat(column: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    """The fields of a column of objects."""
    table = pa.table({"metadata": column}).flatten()
    return {name.removeprefix("metadata."): table.column(name) for name in table.column_names}


def _series(column: pa.ChunkedArray, *, is_id: bool) -> pl.Series | None:
    """A column as text; None where it is not text, nor, of ids, whole numbers."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not (is_text or pa.types.is_null(kind) or (is_id and pa.types.is_integer(kind))):
        return None
    return pl.Series(pl.from_arrow(column)).cast(pl.String)


def _with_ids(frame: pl.DataFrame, part: Part) -> pl.DataFrame:
    """Ids that are blank become ""."""
    blank = pl.col(part.ids).is_null() | (pl.col(part.ids).str.strip_chars() == "")
    return frame.with_columns(pl.when(blank).then(pl.lit("")).otherwise(pl.col(part.ids)).name.keep())


def _graded(frame: pl.DataFrame) -> pl.DataFrame:
    """Grades as numbers, each distinct one read by itself."""
    if "score" not in frame.columns:
        return frame
    distinct = frame["score"].unique()
    grades = [grade(value) for value in distinct.to_list()]
    known = pl.DataFrame(
        {
            "written": distinct,
            "score": [None if isinstance(value, str) else value for value in grades],
            "refused": [value if isinstance(value, str) else "" for value in grades],
        },
        schema={"written": pl.String, "score": pl.Int32, "refused": pl.String},
    )
    return (
        frame.drop("refused")
        .rename({"score": "written"})
        .join(known, on="written", how="left", nulls_equal=True, maintain_order="left")
    )


def _holds(column: pa.ChunkedArray) -> bool:
    """Whether a column has a value that is more than nothing."""
    if column.null_count == len(column):
        return False
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return bool(pc.any(pc.greater(pc.binary_length(column), 0)).as_py())
    if pa.types.is_nested(column.type):
        return any(value not in _EMPTY for value in column.to_pylist())
    return True


def _of_row(part: Part, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of a row as `PartFrame.read` has them, and `refused`."""
    found: list[Any] = []
    refused = ""
    for name in part.columns:
        value = values.get(name)
        if name in part.ids:
            value = identifier(value)
        elif name == "score":
            graded = grade(value)
            value, refused = (None, graded) if isinstance(graded, str) else (graded, "")
        elif name in _TEXTS or part.name == "translations":
            if not isinstance(value, str | None):
                value, refused = None, "no-text"
        else:
            value = str(value) if value else None
        found.append(value)
    return (*found, refused)
