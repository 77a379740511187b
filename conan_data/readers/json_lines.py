"""JSON lines: every line is parsed by itself, so that a broken one costs that line alone."""

from collections.abc import Iterator

import orjson

from conan_data.readers.lines import lines
from conan_data.readers.rows import Broken, Row, Share, cut


def json_rows(path: str, name: str, share: Share, *, max_line_bytes: int) -> Iterator[Row | Broken]:
    """The rows of a share; blank lines count as lines, and are no rows."""
    loads = orjson.loads
    for batch in lines(path, name, share, max_bytes=max_line_bytes):
        if isinstance(batch, Broken):
            yield batch
            continue
        first, texts = batch
        for place, line in enumerate(texts, start=first):
            try:
                values = loads(line)
            except orjson.JSONDecodeError:
                if line.strip():
                    yield Broken(name, place, _reason(line), cut(line))
                continue
            if isinstance(values, dict):
                yield Row(values, name, place)
            else:
                yield Broken(name, place, "not-an-object", cut(line))


def _reason(line: bytes) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return "invalid-utf8"
    return "invalid-json"
