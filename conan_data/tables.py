"""The schemas of every table that crosses a stage boundary, in one place, and the check that each boundary
makes.

Columns beyond a schema are refused rather than carried along: a table means the same thing wherever it is
read. `group` names documents that say the same thing (translations, near duplicates); a document whose group
is that of a positive is never a negative. `file` and `place` say where a document was read: the file, and the
line, row or record in it, from 1.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from conan_data.errors import UserError


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


DOCUMENT = pa.schema(
    [
        _required("id", pa.string()),
        _required("text", pa.string()),
        _required("lang", pa.string()),
        pa.field("lang_score", pa.float32()),
        pa.field("title", pa.string()),
        pa.field("url", pa.string()),
        pa.field("host", pa.string()),
        pa.field("source", pa.string()),
        pa.field("file", pa.string()),
        pa.field("place", pa.int64()),
        _required("group", pa.string()),
        pa.field("tokens", pa.int32()),
        pa.field("toxicity", pa.float32()),
        pa.field("adult", pa.float32()),
        pa.field("advertisement", pa.float32()),
        pa.field("fluency", pa.float32()),
    ]
)
CORPUS = pa.schema(
    [
        _required("_id", pa.string()),
        pa.field("title", pa.string()),
        _required("text", pa.string()),
        _required("lang", pa.string()),
        _required("group", pa.string()),
    ]
)
QUERIES = pa.schema(
    [
        _required("_id", pa.string()),
        _required("text", pa.string()),
        _required("lang", pa.string()),
        _required("source_id", pa.string()),
    ]
)
XLR_QUERIES = pa.schema(
    [
        *QUERIES,
        pa.field("translator", pa.string()),
        pa.field("lid", pa.string()),
        pa.field("lid_score", pa.float32()),
        pa.field("checks", pa.string()),
    ]
)
QRELS = pa.schema(
    [
        _required("query-id", pa.string()),
        _required("corpus-id", pa.string()),
        _required("score", pa.int32()),
    ]
)
TRANSLATIONS = pa.schema(
    [
        _required("query_id", pa.string()),
        _required("lang", pa.string()),
        _required("text", pa.string()),
        pa.field("origin", pa.string()),
    ]
)
PAIRS = pa.schema(
    [
        _required("query", pa.string()),
        _required("document", pa.string()),
        _required("kind", pa.string()),
        _required("lang_query", pa.string()),
        _required("lang_document", pa.string()),
        _required("source", pa.string()),
        _required("group", pa.string()),
        _required("host", pa.string()),
    ]
)
SCORED_PAIRS = pa.schema([*PAIRS, _required("score", pa.float32())])
NEGATIVES = pa.schema(
    [
        _required("query_id", pa.string()),
        _required(
            "pool",
            pa.list_(
                pa.field(
                    "item",
                    pa.struct(
                        [
                            _required("corpus_id", pa.string()),
                            _required("score", pa.float32()),
                            _required("rank", pa.int32()),
                            _required("reason", pa.string()),
                        ]
                    ),
                    nullable=False,
                )
            ),
        ),
        _required("positive_score", pa.float32()),
        _required("checkpoint", pa.string()),
        _required("step", pa.int64()),
    ]
)


def check(table: pa.Table, schema: pa.Schema, where: str | Path) -> pa.Table:
    """`table` with the columns of `schema` in its order and types.

    Raises `UserError` naming file, row and field for a missing or unknown column, a type that does not
    convert, or a null where none may be.
    """
    missing = [
        name for name in schema.names if name not in table.column_names and not schema.field(name).nullable
    ]
    if missing:
        raise UserError(
            f"{where}: column {missing[0]!r} is missing; it has {', '.join(table.column_names) or 'no columns'}"
        )
    unknown = [name for name in table.column_names if name not in schema.names]
    if unknown:
        raise UserError(f"{where}: column {unknown[0]!r} is not one of {', '.join(schema.names)}")
    return pa.table([_column(table, field, where) for field in schema], schema=schema)


def write(table: pa.Table, schema: pa.Schema, path: Path) -> None:
    """Checks `table` and writes it as zstd Parquet; the same table gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(check(table, schema, path), path, compression="zstd")


def read(path: Path, schema: pa.Schema) -> pa.Table:
    """One Parquet file, checked against `schema`."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, FileNotFoundError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error
    return check(table, schema, path)


def _column(table: pa.Table, field: pa.Field, where: str | Path) -> pa.ChunkedArray:
    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    column = table.column(field.name)
    try:
        column = column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError(f"{where}: column {field.name!r} is {column.type}, not {field.type}") from error
    if not field.nullable and column.null_count:
        row = column.is_null().index(True).as_py()
        raise UserError(f"{where}: row {row} has no {field.name!r}")
    return column
