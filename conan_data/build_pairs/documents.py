"""Read files as frames of documents whose columns are the parts that pairs are made of.

Parquet whose columns are texts is read as Arrow, column by column; every other file row by row, with the same
refusals as everywhere. A row is never lost: one that cannot be read is counted by `Account`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from conan_data import tables
from conan_data.build_pairs.config import FIELDS, BuildPairsConfig, PairRules
from conan_data.language.labels import read_scripted_label
from conan_data.readers import Broken, ExtractConfig, Row, broken, is_page, read_rows
from conan_data.readers.account import FileAccount
from conan_data.readers.fields import lookup
from conan_data.readers.streams import unpacked_name

BATCH = 1 << 15
"""Rows of a frame from Parquet."""
_BATCH_BYTES = 64 << 20
_ROWS = 1 << 12
"""Rows of a frame from other files."""


@dataclass(frozen=True)
class File:
    """A file to read: its path, its published name, the source of rows that name none, and whether we wrote it."""

    path: str
    name: str
    source: str
    is_ours: bool = False


def read_frames(
    file: File, rules: Iterable[PairRules], account: FileAccount, *, extract: ExtractConfig
) -> Iterator[pl.DataFrame | Broken]:
    """Yield frames whose columns are the fields that the `rules` read, texts or lists of texts, and the row's number
    `place`, from 1; and the rows that cannot be read. Columns that no rule reads are counted.
    """
    paths = sorted({path for rule in rules for part in FIELDS for path in rule.paths(part)})
    frames = _parquet_frames(file, paths, account)
    yield from frames if frames is not None else _row_frames(file, paths, account, extract)


def as_documents(frame: pl.DataFrame, config: BuildPairsConfig, file: File) -> pl.DataFrame:
    """Return the documents of a frame: the parts of `FIELDS`, as texts or null, and whether each `has_group`.

    Where the rules of a source name other fields, those count for its rows. A list of texts becomes one row for each; a
    language is brought to our labels; a document without a group gets its id, or its place, as one.
    """
    for name, kind in frame.schema.items():
        if kind == pl.List(pl.String):
            frame = frame.explode(name)
    documents = _parts(frame, config.rules, file, config.language)
    for source, rules in config.sources.items():
        if rules.fields != config.rules.fields:
            own = _parts(frame, rules, file, config.language)
            is_own = own.get_column("source") == source
            documents = documents.select(
                pl.when(is_own).then(own.get_column(name)).otherwise(pl.col(name)).alias(name)
                for name in documents.columns
            )
    return documents


def _parts(frame: pl.DataFrame, rules: PairRules, file: File, language: str) -> pl.DataFrame:
    parts = frame.select(
        pl.coalesce(
            *(_filled(path) for path in rules.paths(part) if path in frame.columns), pl.lit(None, pl.String)
        ).alias(part)
        for part in FIELDS
    )
    langs = parts.get_column("lang").fill_null(language)
    names = langs.unique().to_list()
    labels = [read_scripted_label(name) or name for name in names]
    host = pl.col("url").str.extract(r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:]+)")
    return parts.with_columns(
        pl.col("source").fill_null(file.source),
        pl.coalesce("group", "id", pl.lit(f"{file.name}:") + frame.get_column("place").cast(pl.String)).alias(
            "group"
        ),
        pl.coalesce("host", host).str.to_lowercase().fill_null("").alias("host"),
        langs.replace_strict(names, labels, return_dtype=pl.String).alias("lang"),
        has_group=pl.col("group").is_not_null(),
    )


def _filled(path: str) -> pl.Expr:
    column = pl.col(path)
    return pl.when(column != "").then(column)


def _parquet_frames(
    file: File, paths: Sequence[str], account: FileAccount
) -> Iterator[pl.DataFrame | Broken] | None:
    """The frames of a Parquet file all of whose wanted columns are texts; None for any other."""
    if not unpacked_name(file.path).lower().endswith(".parquet"):
        return None
    try:
        opened = pq.ParquetFile(file.path)
    except (pa.ArrowException, OSError):
        return None
    schema = opened.schema_arrow
    wanted = {path: kind for path in paths if (kind := _type_at(schema, path)) is not None}
    if not all(_is_text(kind) for kind in wanted.values()):
        opened.close()
        return None
    heads = list(dict.fromkeys(path if path in schema.names else path.split(".")[0] for path in wanted))
    known = tables.DOCUMENT.names if file.is_ours else ()
    account.leave_out(
        (name for name in schema.names if name not in heads and name not in known), opened.metadata.num_rows
    )
    return _arrow_frames(opened, file, wanted, heads, account)


def _arrow_frames(
    opened: pq.ParquetFile,
    file: File,
    wanted: Mapping[str, pa.DataType],
    heads: list[str],
    account: FileAccount,
) -> Iterator[pl.DataFrame | Broken]:
    first = 1
    with opened:
        for group in range(opened.num_row_groups):
            metadata = opened.metadata.row_group(group)
            done, num_rows = 0, metadata.num_rows
            size = min(BATCH, 1 + _BATCH_BYTES * num_rows // max(metadata.total_byte_size, 1))
            batches = opened.iter_batches(batch_size=size, row_groups=[group], columns=heads)
            while done < num_rows:
                try:
                    batch = next(batches)
                    columns = {path: _column_at(batch, path) for path in wanted}
                    for column in columns.values():
                        column.validate(full=True)
                except (pa.ArrowException, OSError, StopIteration) as error:
                    lost = f"rows {first + done} to {first + num_rows - 1}: {str(error).splitlines()[0]}"
                    yield Broken(file.name, first + done, "corrupt-row-group", lost[:1000])
                    break
                places = pa.array(range(first + done, first + done + batch.num_rows), pa.int64())
                frame = pl.from_arrow(pa.table({**columns, "place": places}))
                assert isinstance(frame, pl.DataFrame)
                account.read += batch.num_rows
                done += batch.num_rows
                yield frame
            first += num_rows


def _type_at(schema: pa.Schema, path: str) -> pa.DataType | None:
    """The type of a column, or of a field of one, that a dotted path names."""
    if path in schema.names:
        return schema.field(path).type
    head, *rest = path.split(".")
    if head not in schema.names:
        return None
    kind = schema.field(head).type
    for name in rest:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return None
        kind = kind.field(name).type
    return kind


def _column_at(batch: pa.RecordBatch, path: str) -> pa.Array:
    if path in batch.schema.names:
        column = batch.column(path)
    else:
        head, *rest = path.split(".")
        column = pc.struct_field(batch.column(head), rest)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return column.cast(pa.large_list(pa.large_string()))
    return column.cast(pa.large_string())


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_null(kind)
    )


def _row_frames(
    file: File, paths: Sequence[str], account: FileAccount, extract: ExtractConfig
) -> Iterator[pl.DataFrame | Broken]:
    rows = read_rows(file.path, extract=extract, name=file.name)
    if is_page(file.path):
        paths = [*paths, "id"] if "id" not in paths else paths
    while batch := list(islice(rows, _ROWS)):
        usable: list[list[Any]] = []
        places: list[int] = []
        for item in batch:
            values = _values(item, paths, account) if isinstance(item, Row) else item
            account.read += 1
            if isinstance(values, Broken):
                account.refuse(values)
                yield values
            else:
                assert isinstance(item, Row)
                account.leave_out_others(item.values, paths)
                usable.append(values)
                places.append(item.place)
        if usable:
            columns = {
                path: _series(path, list(column))
                for path, column in zip(paths, zip(*usable, strict=True), strict=True)
            }
            yield pl.DataFrame({**columns, "place": pl.Series(places, dtype=pl.Int64)})


def _values(row: Row, paths: Sequence[str], account: FileAccount) -> list[Any] | Broken:
    found = []
    for path in paths:
        value = lookup(row.values, path)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        texts = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(text, str) for text in texts):
            account.leave_out([path])
            value = None
        elif value is not None and not all(map(_is_unicode, texts)):
            return broken(row, "invalid-unicode")
        found.append(value)
    return found


def _series(name: str, values: list[Any]) -> pl.Series:
    if any(isinstance(value, list) for value in values):
        return pl.Series(
            name,
            [value if isinstance(value, list) or value is None else [value] for value in values],
            pl.List(pl.String),
        )
    return pl.Series(name, values, pl.String)


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
