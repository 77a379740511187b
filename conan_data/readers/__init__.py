"""Rows out of users' files, one by one, with nothing lost in silence.

One bad byte must cost one row, never the rest of a file or the run. So every line is decoded and parsed by
itself, and what cannot be read comes out as a `Broken` with its file, place, reason and beginning, for the
caller to count and put into quarantine. Only what nobody can read is lost together, and is one `Broken` that
says so: the rest of a compressed stream that breaks off, a row group of a Parquet file, a file without its
footer. One format a file: `json_lines`, `csv_rows`, `arrow_rows`, `web`.
"""

from collections.abc import Iterator
from pathlib import Path

from conan_data.errors import UserError
from conan_data.public_names import public_name
from conan_data.readers.config import ExtractConfig
from conan_data.readers.json_array import array_rows, is_array
from conan_data.readers.lines import MAX_LINE_BYTES
from conan_data.readers.rows import RAW_LENGTH, WHOLE, Broken, Row, Share, broken, quarantine
from conan_data.readers.streams import unpacked_name

__all__ = [
    "MAX_LINE_BYTES",
    "RAW_LENGTH",
    "WHOLE",
    "Broken",
    "ExtractConfig",
    "Row",
    "Share",
    "broken",
    "is_dataset_folder",
    "is_page",
    "is_web",
    "quarantine",
    "read_rows",
]

_JSON, _CSV, _HTML, _WARC = (
    (".jsonl", ".ndjson", ".json"),
    (".csv", ".tsv"),
    (".html", ".htm"),
    (".warc", ".wet"),
)


def read_rows(
    path: str | Path,
    share: Share = WHOLE,
    *,
    max_line_bytes: int = MAX_LINE_BYTES,
    extract: ExtractConfig | None = None,
    has_header: bool = True,
    name: str | None = None,
) -> Iterator[Row | Broken]:
    """Yield the rows of one file, by its ending: JSON lines or, in `.json`, an array of objects, CSV or TSV, WARC or WET
    (each plain, .gz, .zst, .bz2 or .xz), Parquet, HTML; or of a folder that `datasets.save_to_disk` wrote.

    The rows name the file by `name`, such as its published name, or by its path (`public_name`). A line (of CSV a
    record, of tables a row) of more than `max_line_bytes` is broken. `has_header` False is for CSV and TSV
    without one, whose fields are then called `0`, `1`, ... Raises `UserError` for a kind of file that is not read, and where a package
    for web pages is missing.
    """
    local, name = str(path), name or public_name(path)
    kind = unpacked_name(local).lower()
    if Path(local).is_dir():
        if not is_dataset_folder(local):
            raise UserError(f"{name}: not a folder that datasets.save_to_disk wrote")
        from conan_data.readers.arrow_rows import dataset_rows

        yield from dataset_rows(local, name, share, max_row_bytes=max_line_bytes)
    elif kind.endswith(".json") and is_array(local):
        yield from array_rows(local, name, share, max_row_bytes=max_line_bytes)
    elif kind.endswith(_JSON):
        from conan_data.readers.json_lines import json_rows

        yield from json_rows(local, name, share, max_line_bytes=max_line_bytes)
    elif kind.endswith(".parquet"):
        from conan_data.readers.arrow_rows import parquet_rows

        yield from parquet_rows(local, name, share, max_row_bytes=max_line_bytes)
    elif kind.endswith(_CSV):
        from conan_data.readers.csv_rows import csv_rows

        delimiter = "\t" if kind.endswith(".tsv") else ","
        yield from csv_rows(
            local, name, share, delimiter=delimiter, max_line_bytes=max_line_bytes, has_header=has_header
        )
    elif is_web(local):
        from conan_data.readers.web import html_rows, warc_rows

        read = html_rows if kind.endswith(_HTML) else warc_rows
        yield from read(local, name, share, extract or ExtractConfig())
    else:
        raise UserError(f"{name}: not a readable kind of file")


def is_dataset_folder(path: str | Path) -> bool:
    """Whether `datasets.save_to_disk` wrote a folder."""
    return (Path(path) / "dataset_dict.json").is_file() or (
        (Path(path) / "dataset_info.json").is_file() and (Path(path) / "state.json").is_file()
    )


def is_web(path: str | Path) -> bool:
    """Whether a file holds web pages, whose rows are `id`, `text`, `title`, `url` and `lang`."""
    return unpacked_name(str(path)).lower().endswith((*_HTML, *_WARC))


def is_page(path: str | Path) -> bool:
    """Whether a file is one web page."""
    return unpacked_name(str(path)).lower().endswith(_HTML)
