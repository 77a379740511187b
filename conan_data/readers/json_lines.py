"""JSON lines: every line is parsed by itself, so that a broken one costs that line alone."""

from collections.abc import Iterator

import orjson

from conan_data.readers.lines import lines
from conan_data.readers.rows import Broken, Row, Share, cut

_LONG = 1 << 20
_ROOM = 14
"""Bytes that parsing takes for each byte of a line, most of them never touched."""
_NO_MEMORY = "Not enough memory"


def json_rows(path: str, name: str, share: Share, *, max_line_bytes: int) -> Iterator[Row | Broken]:
    """The rows of a share; blank lines count as lines, and are no rows."""
    for batch in lines(path, name, share, max_bytes=max_line_bytes):
        if isinstance(batch, Broken):
            yield batch
        else:
            first, texts = batch
            yield from parse_lines(texts, first, name)


def parse_lines(texts: list[bytes], first: int, name: str) -> Iterator[Row | Broken]:
    """Yield the rows of whole lines of the file `name`, whose first one has the number `first`."""
    loads = orjson.loads
    for place, line in enumerate(texts, start=first):
        try:
            if len(line) > _LONG:
                _check_room(len(line))
            values = loads(line)
        except orjson.JSONDecodeError as error:
            if error.msg.startswith(_NO_MEMORY):
                # That is no fault of the line, which would be lost where there is little memory.
                raise MemoryError(f"{name}, row {place}: {len(line)} bytes") from error
            if line.strip():
                yield Broken(name, place, _reason(line), cut(line))
            continue
        if isinstance(values, dict):
            yield Row(values, name, place)
        else:
            yield Broken(name, place, "not-an-object", cut(line))


def _check_room(num_bytes: int) -> None:
    """Raises `MemoryError` where the parser would end the process for want of memory."""
    # Zeros that nothing touches.
    bytes(_ROOM * num_bytes)


def _reason(line: bytes) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return "invalid-utf8"
    return "invalid-json"
