"""Decide what a double quote means in a tab-separated file: a mark around a field, or a character.

Most TSV of this field (MS MARCO, STS-B, qrels, triples) is written by `"\\t".join`, where a quote is a character. A
reader of CSV takes such a quote at the start of a field for an opening mark, and merges rows up to the next quote.
Other TSV (pandas, R, spreadsheets) follows RFC 4180: a quoted field may hold tabs, line ends and doubled quotes.

The meaning is a property of the whole file, not of a row: quotes are marks only where every quote of the file obeys
RFC 4180, that is, stands around a whole field and is closed. One more thing speaks against it: a quoted field that
runs over several lines, each of which has by itself the number of fields of the first line, since rows of that
shape are whole without it.

The file is read up to the first quote that decides, line by line; nothing but the current line is held.
"""

import re

from conan_data.readers.lines import lines
from conan_data.readers.rows import WHOLE, Broken

_REST_OF_QUOTED = re.compile(rb'[^"]*(?:""[^"]*)*')
"""From inside a quoted field up to the quote that closes it, or to the end of the line."""


def quotes_are_marks(path: str, name: str, *, delimiter: bytes, max_line_bytes: int) -> bool:
    """Return whether the quotes of a delimited file are RFC 4180 marks; False where a quote is a character.

    A file without quotes gives True. A field that is open for more than `max_line_bytes`, or at the end of the file,
    is not closed.
    """
    num_fields = 0
    open_bytes = 0
    are_whole_rows = False
    """Whether all lines of the open field so far have the number of fields of the first line."""
    for batch in lines(path, name, WHOLE, max_bytes=max_line_bytes):
        if isinstance(batch, Broken):
            if open_bytes:
                return False
            continue
        for line in batch[1]:
            num_fields = num_fields or line.count(delimiter) + 1
            if not open_bytes and b'"' not in line:
                continue
            line = line.removesuffix(b"\r")
            was_open = bool(open_bytes)
            stays_open = _scan(line, delimiter, is_open=was_open)
            if stays_open is None or open_bytes > max_line_bytes:
                return False
            has_all_fields = num_fields > 1 and line.count(delimiter) + 1 == num_fields
            if was_open and not stays_open and are_whole_rows and has_all_fields:
                return False
            are_whole_rows = has_all_fields and (are_whole_rows or not was_open)
            open_bytes = open_bytes + len(line) + 1 if stays_open else 0
    return not open_bytes


def _scan(line: bytes, delimiter: bytes, *, is_open: bool) -> bool | None:
    """Return whether a field is open after `line`, None where a quote breaks RFC 4180."""
    place = 0
    while True:
        if is_open or line.startswith(b'"', place):
            found = _REST_OF_QUOTED.match(line, place if is_open else place + 1)
            assert found is not None, "the pattern matches the empty text"
            if found.end() == len(line):
                return True
            place = found.end() + 1
            if place < len(line) and not line.startswith(delimiter, place):
                return None
            is_open = False
        else:
            end = line.find(delimiter, place)
            end = len(line) if end < 0 else end
            if line.find(b'"', place, end) >= 0:
                return None
            place = end
        if place >= len(line):
            return False
        place += len(delimiter)
