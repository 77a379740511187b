"""Copy a file of rows without some of them, in the same format, so that what read the file reads the copy.

Lines are copied as they are, byte for byte, and so are files from which nothing is taken. Compressed copies hold no
time, so that two runs write the same bytes.
"""

import bz2
import gzip
import lzma
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from conan_data.readers import MAX_LINE_BYTES, WHOLE, Broken, Row, is_dataset_folder, read_rows
from conan_data.readers.json_array import is_array
from conan_data.readers.lines import lines
from conan_data.readers.streams import unpacked_name

_ZSTD_LEVEL, _GZIP_LEVEL = 3, 6
_ROWS_A_BATCH = 8192


def copy_without(source: Path, target: Path, places: Collection[int], *, has_header: bool = True) -> Path:
    """Write `source` without the rows at `places` (as readers number them) to `target`; return what was written.

    A folder that `datasets.save_to_disk` wrote becomes a Parquet file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    kind = unpacked_name(source.name).lower()
    if is_dataset_folder(source):
        target = target.with_name(target.name + ".parquet")
        _copy_dataset(source, target, places)
    elif not places:
        shutil.copyfile(source, target)
    elif kind.endswith(".parquet"):
        _copy_parquet(source, target, places)
    elif kind.endswith(".json") and is_array(str(source)):
        _copy_array(source, target, places)
    elif kind.endswith((".csv", ".tsv")):
        _copy_lines(source, target, _lines_of_records(source, places, has_header=has_header))
    else:
        _copy_lines(source, target, places)
    return target


@contextmanager
def packed(path: Path) -> Iterator[IO[bytes]]:
    """Open `path` for writing, compressed by its ending."""
    name = path.name.lower()
    with open(path, "wb") as raw, ExitStack() as opened:
        stream: Any = raw
        if name.endswith(".gz"):
            stream = opened.enter_context(gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0))
        elif name.endswith(".zst"):
            writer = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).stream_writer(raw, closefd=False)
            stream = opened.enter_context(writer)
        elif name.endswith(".bz2"):
            stream = opened.enter_context(bz2.BZ2File(raw, "wb"))
        elif name.endswith(".xz"):
            stream = opened.enter_context(lzma.LZMAFile(raw, "wb"))
        yield stream


def _copy_lines(source: Path, target: Path, places: Collection[int]) -> None:
    with packed(target) as file:
        for batch in lines(str(source), source.name, WHOLE, max_bytes=MAX_LINE_BYTES):
            if not isinstance(batch, Broken):
                first, texts = batch
                file.writelines(
                    line + b"\n" for place, line in enumerate(texts, start=first) if place not in places
                )


def _lines_of_records(source: Path, places: Collection[int], *, has_header: bool) -> set[int]:
    """Return the lines of the records that begin at `places`: a quoted field may hold line ends."""
    found: set[int] = set()
    last = 0
    for row in read_rows(source, has_header=has_header):
        if last in places:
            found.update(range(last, row.place))
        last = row.place
    if last in places:
        # The last record ends with the file.
        found.update(range(last, last + 1 + _num_lines_after(source, last)))
    return found


def _num_lines_after(source: Path, place: int) -> int:
    num_lines = 0
    for batch in lines(str(source), source.name, WHOLE, max_bytes=MAX_LINE_BYTES):
        if not isinstance(batch, Broken):
            num_lines = batch[0] + len(batch[1]) - 1
    return max(0, num_lines - place)


def _copy_array(source: Path, target: Path, places: Collection[int]) -> None:
    with packed(target) as file:
        begun = False
        for row in read_rows(source):
            if isinstance(row, Row) and row.place not in places:
                file.write((b",\n" if begun else b"[\n") + orjson.dumps(row.values))
                begun = True
        file.write(b"\n]\n" if begun else b"[]\n")


def _copy_parquet(source: Path, target: Path, places: Collection[int]) -> None:
    with pq.ParquetFile(source) as file:
        schema = file.schema_arrow
        with pq.ParquetWriter(target, schema, compression="zstd") as writer:
            place = 1
            for group in range(file.num_row_groups):
                # Readers refuse a row group that cannot be decoded as a whole, and count it.
                with suppress(pa.ArrowException, OSError):
                    writer.write_table(_without(file.read_row_group(group), place, places).cast(schema))
                place += file.metadata.row_group(group).num_rows


def _copy_dataset(source: Path, target: Path, places: Collection[int]) -> None:
    import datasets

    loaded = datasets.load_from_disk(str(source))
    splits = list(loaded.values()) if isinstance(loaded, datasets.DatasetDict) else [loaded]
    schema = splits[0].features.arrow_schema
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        place = 1
        for split in splits:
            rows = split.with_format("arrow")
            for start in range(0, len(split), _ROWS_A_BATCH):
                table = rows[start : start + _ROWS_A_BATCH]
                writer.write_table(_without(table, place, places).cast(schema))
                place += table.num_rows


def _without(table: pa.Table, first: int, places: Collection[int]) -> pa.Table:
    kept = [place not in places for place in range(first, first + table.num_rows)]
    return table if all(kept) else table.filter(pa.array(kept, pa.bool_()))
