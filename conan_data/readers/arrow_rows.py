"""Rows of Arrow tables: Parquet files, and folders that `datasets.Dataset.save_to_disk` wrote.

A row group that cannot be decoded is one broken row that says how many rows it held; the other groups are
read. A value that is no text, date or number that Python can hold costs its row alone.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from conan_data.readers.rows import Broken, Row, Share, cut

BATCH = 512
"""Rows that are held at a time, and that go to the same share where a file has too few row groups."""
BATCH_BYTES = 32 << 20
"""Fewer rows are held where they are larger than this together."""


def parquet_rows(path: str, name: str, share: Share, *, max_row_bytes: int) -> Iterator[Row | Broken]:
    """The rows of a share: of whole row groups, where there are enough of them."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        if share.index == 0:
            yield Broken(name, 1, "unreadable-parquet", cut(_first_line(error)))
        return
    with file:
        by_group = file.num_row_groups >= share.count
        first = 1
        for group in range(file.num_row_groups):
            num_rows = file.metadata.row_group(group).num_rows
            if not by_group:
                yield from _group_rows(file, group, name, first, share, max_row_bytes)
            elif group % share.count == share.index:
                yield from _group_rows(file, group, name, first, Share(), max_row_bytes)
            first += num_rows


def _group_rows(
    file: pq.ParquetFile, group: int, name: str, first: int, share: Share, max_row_bytes: int
) -> Iterator[Row | Broken]:
    done = 0
    metadata = file.metadata.row_group(group)
    num_rows = metadata.num_rows
    batch_size = min(BATCH, 1 + BATCH_BYTES * num_rows // max(metadata.total_byte_size, 1))
    batches = file.iter_batches(batch_size=batch_size, row_groups=[group])
    number = 0
    while done < num_rows:
        is_own = number % share.count == share.index
        try:
            batch = next(batches)
        except (pa.ArrowException, OSError, StopIteration) as error:
            if is_own:
                lost = f"rows {first + done} to {first + num_rows - 1}, of row group {group + 1}: {_first_line(error)}"
                yield Broken(name, first + done, "corrupt-row-group", cut(lost))
            return
        if is_own:
            yield from batch_rows(batch, name, first + done, max_row_bytes)
        done += batch.num_rows
        number += 1


def dataset_rows(path: str, name: str, share: Share, *, max_row_bytes: int) -> Iterator[Row | Broken]:
    """The rows of a share of all splits; one of a folder that cannot be opened is broken."""
    import datasets

    try:
        loaded = datasets.load_from_disk(path)
    except (FileNotFoundError, pa.ArrowException, ValueError, KeyError) as error:
        if share.index == 0:
            yield Broken(name, 1, "unreadable-dataset", cut(_first_line(error)))
        return
    splits = loaded.values() if isinstance(loaded, datasets.DatasetDict) else [loaded]
    first, number = 1, 0
    for split in splits:
        tables = split.with_format("arrow")
        for start in range(0, len(split), BATCH):
            if number % share.count == share.index:
                for batch in tables[start : start + BATCH].combine_chunks().to_batches():
                    yield from batch_rows(batch, name, first + start, max_row_bytes)
            number += 1
        first += len(split)


def batch_rows(batch: pa.RecordBatch, name: str, first: int, max_row_bytes: int) -> Iterator[Row | Broken]:
    """The rows of a batch, numbered from `first`; bytes that are UTF-8 come as text."""
    if batch.nbytes > max_row_bytes:
        yield from _one_by_one(batch, name, first, max_row_bytes)
        return
    names = batch.schema.names
    readers = [_reader(column.type) for column in batch.columns]
    try:
        columns = [read(column) for read, column in zip(readers, batch.columns, strict=True)]
    except (ValueError, OverflowError, pa.ArrowException):
        yield from _one_by_one(batch, name, first, max_row_bytes)
        return
    for place, values in enumerate(zip(*columns, strict=True), start=first):
        yield Row(dict(zip(names, values)), name, place)


def _one_by_one(batch: pa.RecordBatch, name: str, first: int, max_row_bytes: int) -> Iterator[Row | Broken]:
    for number in range(batch.num_rows):
        row = batch.slice(number, 1)
        if row.nbytes > max_row_bytes:
            yield Broken(name, first + number, "row-too-long", f"{row.nbytes} bytes")
            continue
        try:
            values = {
                field: _reader(column.type)(column)[0]
                for field, column in zip(batch.schema.names, row.columns, strict=True)
            }
        except UnicodeDecodeError as error:
            yield Broken(name, first + number, "invalid-utf8", cut(error.object))
        except (ValueError, OverflowError, pa.ArrowException) as error:
            yield Broken(name, first + number, "unreadable-value", cut(_first_line(error)))
        else:
            yield Row(values, name, first + number)


def _reader(kind: pa.DataType) -> Callable[[pa.Array], list[Any]]:
    if pa.types.is_dictionary(kind):
        return _reader(kind.value_type) if _is_bytes(kind.value_type) else pa.Array.to_pylist
    return _texts if _is_bytes(kind) else pa.Array.to_pylist


def _is_bytes(kind: pa.DataType) -> bool:
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _texts(column: pa.Array) -> list[Any]:
    return [_text(value) for value in column.to_pylist()]


def _text(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
