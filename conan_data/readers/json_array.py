"""Read a JSON array of objects, as Alpaca, ShareGPT and DPR publish their data: one array is the whole file.

Elements are parsed one by one, so memory holds one of them and a chunk of the file. An element that is not JSON ends the
reading with one broken row, since nobody can say where the next one begins.
"""

import codecs
import json
import re
from collections.abc import Iterator

import orjson

from conan_data.readers.rows import Broken, Row, Share, cut
from conan_data.readers.streams import Failure, chunks

BLOCK = 1024
"""Elements in a row that go to the same share."""
_BEFORE, _BETWEEN, _SPACE = re.compile(r"\s*\[?"), re.compile(r"[\s,]*"), re.compile(r"\s*")


def is_array(path: str) -> bool:
    """Return whether the first character of a file, after white space, opens an array over several lines.

    An array that is closed on its own line is a row of JSON lines, which is no object.
    """
    first = next(chunks(path), b"")
    if isinstance(first, Failure):
        return False
    start = first.removeprefix(codecs.BOM_UTF8).lstrip()
    if not start.startswith(b"["):
        return False
    return start[1:].lstrip().startswith(b"{") or not start[1:].strip()


def array_rows(path: str, name: str, share: Share, *, max_row_bytes: int) -> Iterator[Row | Broken]:
    """Yield the elements of a share, numbered from 1."""
    for number, item in enumerate(_elements(path, name, max_row_bytes)):
        if number // BLOCK % share.count == share.index:
            yield item


def _elements(path: str, name: str, max_row_bytes: int) -> Iterator[Row | Broken]:
    text = _Text(path)
    find_end = json.JSONDecoder().raw_decode
    text.skip(_BEFORE)
    number = 1
    while True:
        text.skip(_BETWEEN)
        if text.is_at_end() or text.held.startswith("]", text.place):
            yield from _end(text, name, number)
            return
        try:
            end = find_end(text.held, text.place)[1]
        except (ValueError, RecursionError):
            if text.size <= max_row_bytes and text.read_more():
                continue
            reason = text.failure.reason if text.failure else "invalid-json"
            yield Broken(name, number, reason, cut(text.held[text.place :]))
            return
        raw, text.place = text.held[text.place : end], end
        yield _element(raw, name, number, max_row_bytes)
        number += 1


def _element(raw: str, name: str, number: int, max_row_bytes: int) -> Row | Broken:
    """Returns an element as JSON lines would have it."""
    try:
        line = raw.encode()
        value = orjson.loads(line)
    except UnicodeEncodeError:
        return Broken(name, number, "invalid-utf8", cut(raw))
    except orjson.JSONDecodeError:
        return Broken(name, number, "invalid-json", cut(raw))
    if len(line) > max_row_bytes:
        return Broken(name, number, "line-too-long", cut(raw))
    return (
        Row(value, name, number)
        if isinstance(value, dict)
        else Broken(name, number, "not-an-object", cut(raw))
    )


def _end(text: "_Text", name: str, number: int) -> Iterator[Broken]:
    """Yields what is wrong with the end of a file, after its last element."""
    if text.failure:
        yield Broken(name, number, text.failure.reason, cut(text.failure.message))
    elif text.is_at_end():
        yield Broken(name, number, "truncated-file", "the array is not closed")
    else:
        text.place += 1
        text.skip(_SPACE)
        if not text.is_at_end():
            yield Broken(name, number, "invalid-json", cut(text.held[text.place :]))


class _Text:
    """The characters of a file that are not parsed yet; bytes that are not UTF-8 are surrogates."""

    def __init__(self, path: str) -> None:
        self._chunks = chunks(path)
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self.held, self.place = "", 0
        self.failure: Failure | None = None

    @property
    def size(self) -> int:
        return len(self.held) - self.place

    def is_at_end(self) -> bool:
        """Return whether nothing is left, of the file either."""
        return self.place == len(self.held) and not self.read_more()

    def skip(self, pattern: re.Pattern[str]) -> None:
        """Go on to what follows `pattern`."""
        while not self.is_at_end():
            match = pattern.match(self.held, self.place)
            assert match is not None, "the pattern matches the empty text"
            self.place = match.end()
            if self.place < len(self.held):
                return

    def read_more(self) -> bool:
        """Read as much again as is held; return whether there was any."""
        pieces: list[str] = []
        wanted = max(self.size, 1)
        while sum(map(len, pieces)) < wanted:
            chunk = next(self._chunks, None)
            if chunk is None or isinstance(chunk, Failure):
                self.failure = self.failure or chunk
                break
            pieces.append(self._decoder.decode(chunk))
        if not pieces:
            return False
        self.held, self.place = self.held[self.place :] + "".join(pieces), 0
        return True
