"""Read CSV and TSV, quoted line breaks included, with a header or without one.

In CSV quotes are marks of RFC 4180. A quote that is never closed would swallow the rest of the file, so a record that
breaks the rules of quoting costs its first line, and reading goes on at its second one. In TSV a quote is a character
unless the whole file follows RFC 4180 (see `quoting`); then it is read like CSV.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from conan_data.readers.lines import lines
from conan_data.readers.quoting import quotes_are_marks
from conan_data.readers.rows import WHOLE, Broken, Row, Share, cut

BLOCK = 1024
"""Records in a row that go to the same share."""


@dataclass(slots=True)
class _Record:
    """The fields of one record, its first line's number, and its beginning as text."""

    fields: list[str]
    place: int
    raw: Callable[[], str]


class _Lines:
    """Feeds `csv.reader`, which asks for as many lines as a record needs, and can give them again."""

    def __init__(self, path: str, name: str, max_bytes: int) -> None:
        self._stream = _numbered(path, name, max_bytes)
        self._again: list[tuple[int, bytes] | Broken] = []
        self._taken: list[tuple[int, bytes]] = []
        self._size, self._max_bytes = 0, max_bytes
        self.problems: list[Broken] = []
        self.is_utf8 = True

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._stream)
        while isinstance(line, Broken):
            if self._taken:
                self._again.append(line)
                raise StopIteration
            self.problems.append(line)
            line = self._again.pop() if self._again else next(self._stream)
        self._taken.append(line)
        self._size += len(line[1])
        if self._size > self._max_bytes:
            raise csv.Error("the record is too long")
        try:
            return line[1].decode() + "\n"
        except UnicodeDecodeError:
            self.is_utf8 = False
            return line[1].decode(errors="replace") + "\n"

    def start(self) -> None:
        """A new record begins."""
        self._taken, self._size, self.is_utf8 = [], 0, True

    def give_again(self) -> None:
        """All lines of this record but its first will be read once more."""
        self._again.extend(reversed(self._taken[1:]))

    @property
    def place(self) -> int:
        return self._taken[0][0]

    @property
    def raw(self) -> str:
        return cut(b"\n".join(line for _, line in self._taken[:20]))

    @property
    def first_raw(self) -> str:
        return cut(self._taken[0][1])


def csv_rows(
    path: str, name: str, share: Share, *, delimiter: str, max_line_bytes: int, has_header: bool = True
) -> Iterator[Row | Broken]:
    """Yield the rows of a share, numbered by their first line; without a header the fields are `0`, `1`, ..."""
    if delimiter == "\t" and not quotes_are_marks(path, name, delimiter=b"\t", max_line_bytes=max_line_bytes):
        records = _plain_records(path, name, delimiter, max_line_bytes)
    else:
        csv.field_size_limit(sys.maxsize)
        records = _quoted_records(_Lines(path, name, max_line_bytes), name, delimiter)
    for number, item in enumerate(_rows(records, name, has_header=has_header)):
        if number // BLOCK % share.count == share.index:
            yield item


def _rows(records: Iterator[_Record | Broken], name: str, *, has_header: bool) -> Iterator[Row | Broken]:
    """Name the fields of records by those of the header, or by their places."""
    header: list[str] | None = None
    for record in records:
        if isinstance(record, Broken):
            yield record
        elif header is None and has_header:
            header = record.fields
        elif header is not None and len(record.fields) != len(header):
            yield Broken(name, record.place, "wrong-number-of-fields", record.raw())
        else:
            header = header or [str(place) for place in range(len(record.fields))]
            yield Row(dict(zip(header, record.fields)), name, record.place)


def _plain_records(path: str, name: str, delimiter: str, max_bytes: int) -> Iterator[_Record | Broken]:
    """Yield the lines of a file in which a quote is a character."""
    for line in _numbered(path, name, max_bytes):
        if isinstance(line, Broken):
            yield line
            continue
        place, raw = line
        if not raw:
            continue
        try:
            yield _Record(raw.decode().split(delimiter), place, partial(cut, raw))
        except UnicodeDecodeError:
            yield Broken(name, place, "invalid-utf8", cut(raw))


def _quoted_records(source: _Lines, name: str, delimiter: str) -> Iterator[_Record | Broken]:
    """Yield the records of a file in which quotes are marks."""
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        source.start()
        try:
            fields = next(reader)
        except StopIteration:
            yield from source.problems
            return
        except csv.Error:
            yield from _drain(source)
            yield Broken(name, source.place, "invalid-csv", source.first_raw)
            source.give_again()
            continue
        yield from _drain(source)
        if not fields:
            continue
        if source.is_utf8:
            yield _Record(fields, source.place, lambda: source.raw)
        else:
            yield Broken(name, source.place, "invalid-utf8", source.raw)


def _drain(source: _Lines) -> Iterator[Broken]:
    problems, source.problems = source.problems, []
    yield from problems


def _numbered(path: str, name: str, max_bytes: int) -> Iterator[tuple[int, bytes] | Broken]:
    for batch in lines(path, name, WHOLE, max_bytes=max_bytes):
        if isinstance(batch, Broken):
            yield batch
        else:
            yield from (
                (place, line.removesuffix(b"\r")) for place, line in enumerate(batch[1], start=batch[0])
            )
