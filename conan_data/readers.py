"""Rows out of users' files, one by one, with nothing lost in silence.

One bad byte must cost one row, never the rest of a file or the run. So every line is decoded and parsed by
itself, and what cannot be read comes out as a `Broken` with its file, place, reason and raw text, for the
caller to count and put into quarantine. Only a compressed stream that ends early loses its rest, which nobody
can read; that, too, is one `Broken`.
"""

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from conan_data.errors import UserError

RAW_LENGTH = 1000
"""Characters of a broken row that are kept to look at."""
CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Row:
    """A row that could be read: its values, its file, and its place there (line or row number, from 1)."""

    values: dict[str, Any]
    file: str
    place: int


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that could not be read, or not be used: where, why (a short reason to count by), and the first
    `RAW_LENGTH` characters.
    """

    file: str
    place: int
    reason: str
    raw: str

    def to_json(self) -> bytes:
        """One line for a quarantine file."""
        return (
            orjson.dumps({"file": self.file, "place": self.place, "reason": self.reason, "raw": self.raw})
            + b"\n"
        )


def broken(row: Row, reason: str) -> Broken:
    """`row` as a broken one: it could be read, but not be used."""
    return Broken(row.file, row.place, reason, _cut(str(row.values)))


def read_rows(path: str | Path) -> Iterator[Row | Broken]:
    """The rows of one file, by its ending: JSON lines, Parquet, CSV or TSV (plain, .gz, .zst); or of a
    `datasets` folder.

    Raises `UserError` for a file that cannot be opened at all.
    """
    name = str(path)
    base = name.removesuffix(".gz").removesuffix(".zst")
    if Path(name).is_dir():
        yield from _dataset_rows(name)
    elif base.endswith((".jsonl", ".ndjson", ".json")):
        yield from _json_rows(name)
    elif base.endswith(".parquet"):
        yield from _parquet_rows(name)
    elif base.endswith((".csv", ".tsv")):
        yield from _csv_rows(name, "\t" if base.endswith(".tsv") else ",")
    else:
        raise UserError(f"{name}: not a readable kind of file")


def quarantine(rows: Iterable[Broken], path: Path) -> None:
    """Writes broken rows as JSON lines, one a row."""
    with open(path, "wb") as file:
        file.writelines(row.to_json() for row in rows)


def _json_rows(name: str) -> Iterator[Row | Broken]:
    for place, line in enumerate(_lines(name), start=1):
        if isinstance(line, Broken):
            yield Broken(name, place, line.reason, line.raw)
        elif line.strip():
            yield _json_row(name, place, line)


def _json_row(name: str, place: int, line: bytes) -> Row | Broken:
    try:
        line.decode()
    except UnicodeDecodeError:
        return Broken(name, place, "invalid-utf8", _cut(line.decode(errors="replace")))
    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Broken(name, place, "invalid-json", _cut(line.decode()))
    if not isinstance(values, dict):
        return Broken(name, place, "not-an-object", _cut(line.decode()))
    return Row(values, name, place)


def _csv_rows(name: str, delimiter: str) -> Iterator[Row | Broken]:
    limit = csv.field_size_limit(1 << 30)
    try:
        lines = (
            line if isinstance(line, Broken) else line.decode(errors="surrogateescape") + "\n"
            for line in _lines(name)
        )
        problems: list[Broken] = []

        def readable() -> Iterator[str]:
            for line in lines:
                if isinstance(line, Broken):
                    problems.append(line)
                else:
                    yield line

        reader = csv.DictReader(readable(), delimiter=delimiter, restkey="", strict=True)
        place = 1
        while True:
            try:
                values = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                yield Broken(name, reader.line_num, "invalid-csv", str(error))
                continue
            place = reader.line_num
            yield _csv_row(name, place, values)
        yield from (Broken(name, place + 1, problem.reason, problem.raw) for problem in problems)
    finally:
        csv.field_size_limit(limit)


def _csv_row(name: str, place: int, values: dict[str, Any]) -> Row | Broken:
    if "" in values or None in values.values():
        return Broken(name, place, "wrong-number-of-fields", _cut(str(values)))
    try:
        "".join(values.values()).encode()
    except UnicodeEncodeError:
        return Broken(name, place, "invalid-utf8", _cut(str(values).encode(errors="replace").decode()))
    return Row(values, name, place)


def _parquet_rows(name: str) -> Iterator[Row | Broken]:
    try:
        with pq.ParquetFile(name) as file:
            place = 0
            for batch in file.iter_batches(batch_size=1024):
                for values in batch.to_pylist():
                    place += 1
                    yield Row(values, name, place)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{name}: not a readable Parquet file ({str(error).splitlines()[0]})") from error


def _dataset_rows(name: str) -> Iterator[Row | Broken]:
    """A folder that `datasets.Dataset.save_to_disk` wrote."""
    import datasets

    try:
        loaded = datasets.load_from_disk(name)
    except FileNotFoundError as error:
        raise UserError(f"{name}: not a folder that datasets.save_to_disk wrote") from error
    splits = loaded.values() if isinstance(loaded, datasets.DatasetDict) else [loaded]
    place = 0
    for split in splits:
        for values in split:
            place += 1
            yield Row(dict(values), name, place)


def _lines(name: str) -> Iterator[bytes | Broken]:
    """The lines of a file without their ends; a stream that breaks off ends in a `Broken` that holds the
    begun line.
    """
    rest = b""
    first = True
    try:
        with open(name, "rb") as file:
            for chunk in _chunks(name, file):
                if first:
                    chunk, first = chunk.removeprefix(_BOM), False
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.removesuffix(b"\r") for line in whole)
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError):
        yield Broken(name, 0, "truncated-file", _cut(rest.decode(errors="replace")))
        return
    if rest:
        yield rest.removesuffix(b"\r")


def _chunks(name: str, file: BinaryIO) -> Iterator[bytes]:
    if name.endswith(".gz"):
        with gzip.open(file) as stream:
            yield from iter(lambda: stream.read(CHUNK), b"")
    elif name.endswith(".zst"):
        yield from _zstd_chunks(file)
    else:
        yield from iter(lambda: file.read(CHUNK), b"")


def _zstd_chunks(file: BinaryIO) -> Iterator[bytes]:
    """The library's stream reader takes a file that breaks off for one that ends; its frame decoder says
    whether the frame was whole.
    """
    decoder = zstandard.ZstdDecompressor().decompressobj()
    begun = False
    for chunk in iter(lambda: file.read(CHUNK), b""):
        data = chunk
        while data:
            begun = True
            yield decoder.decompress(data)
            data = decoder.unused_data
            if decoder.eof:
                decoder, begun = zstandard.ZstdDecompressor().decompressobj(), False
            else:
                data = b""
    if begun:
        raise EOFError("the last zstd frame is not whole")


def _cut(text: str) -> str:
    return text[:RAW_LENGTH].encode(errors="replace").decode()
