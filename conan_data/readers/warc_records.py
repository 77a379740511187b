"""The records of a WARC file as bytes, each one checked to end where it says.

A record names its length, so one that lies about it takes the reader into the middle of another record, and one
that is damaged may have no end at all. Records are therefore cut out here and parsed one by one elsewhere. A
record is whole where its header names a length, that many bytes are there, and an end of record, another record
or the end of the file follows. Any other is a `Failure`, and reading goes on where the next header
begins, inside of what the bad one claimed for itself too. Damage to compressed data (`streams`) costs the record
that it lies in.

A record of more than `max_bytes` is not held, so it cannot be looked through again: one in which another header
begins before its length ends is damaged, too.
"""

import re
from collections.abc import Iterator

from conan_data.readers.streams import CHUNK, Failure, chunks

MAX_HEAD = 1 << 20
"""Bytes of a record's header; a longer one is damaged."""
_PREFIX = 1 << 16
"""Bytes of a record that is too large that are given, for its own and the server's headers."""
_ROOM = 64
"""Bytes in which the patterns below fit."""
_VERSION = re.compile(rb"WARC/\d\.\d{1,3}\r?\n")
_HEADER = re.compile(rb"WARC/\d\.\d{1,3}\r?\n(?:WARC-|Content-)", re.IGNORECASE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?\n", re.IGNORECASE)
_ENDS = (b"\r\n\r\n", b"\n\n")


def warc_records(path: str, max_bytes: int) -> Iterator[bytes | Failure]:
    """Yield the bytes of each record, cut short where it is larger than `max_bytes`, and a `Failure` for each
    record, or stretch of bytes between records, that cannot be read.
    """
    source = _Source(chunks(path))
    is_after_damage = False
    while not source.is_done:
        source.open_next()
        yield from _undamaged(source, max_bytes, is_after_damage=is_after_damage)
        if source.failure is not None:
            yield Failure(source.failure.reason.replace("file", "record"), source.failure.message)
        is_after_damage = True


class _Source:
    """The bytes of a stream up to its next damage; then those up to the one after it."""

    def __init__(self, stream: Iterator[bytes | Failure]) -> None:
        self._stream = stream
        self.bytes = bytearray()
        self.is_over = self.is_done = False
        """No bytes follow before the damage; none follow at all."""
        self.failure: Failure | None = None

    def open_next(self) -> None:
        self.bytes.clear()
        self.is_over, self.failure = False, None

    def fill(self, size: int) -> bool:
        """Hold `size` bytes; return whether there are so many."""
        while len(self.bytes) < size and not self.is_over:
            item = next(self._stream, None)
            if isinstance(item, bytes):
                self.bytes += item
            else:
                self.is_over, self.is_done, self.failure = True, item is None, item
        return len(self.bytes) >= size

    def drop(self, size: int) -> None:
        del self.bytes[:size]

    def is_at_record(self) -> bool:
        self.fill(_ROOM)
        return _VERSION.match(self.bytes) is not None

    def skip_blank_lines(self) -> None:
        while self.fill(1) and self.bytes[0] in b"\r\n":
            self.drop(len(self.bytes) - len(self.bytes.lstrip(b"\r\n")))

    def skip_to_record(self) -> bool:
        """Drop what comes before the next header; all, and return False, where there is none."""
        while (found := _HEADER.search(self.bytes)) is None:
            self.drop(max(len(self.bytes) - _ROOM, 0))
            if not self.fill(len(self.bytes) + 1):
                self.bytes.clear()
                return False
        self.drop(found.start())
        return True

    @property
    def is_damaged(self) -> bool:
        """Whether the last bytes before the end are of what is damaged."""
        return self.failure is not None and self.failure.is_inside


def _undamaged(source: _Source, max_bytes: int, *, is_after_damage: bool) -> Iterator[bytes | Failure]:
    """The records up to the next damage of the stream; without the one that it cuts."""
    source.skip_blank_lines()
    if source.bytes and not source.is_at_record():
        # What is left of a record that is counted already is no other one.
        if not is_after_damage:
            yield _unknown(source)
        source.skip_to_record()
    while source.bytes:
        record = _record(source, max_bytes) if source.is_at_record() else _unknown(source)
        if record is not None:
            yield record
        source.skip_blank_lines()


def _unknown(source: _Source) -> Failure:
    failure = Failure("corrupt-record", f"no record begins with {bytes(source.bytes[:100])!r}")
    source.skip_to_record()
    return failure


def _record(source: _Source, max_bytes: int) -> bytes | Failure | None:
    """The record that begins here, which is dropped from the source; None for one that the damage cuts."""
    while (found := _HEAD_END.search(source.bytes)) is None and len(source.bytes) < MAX_HEAD:
        if not source.fill(len(source.bytes) + 1):
            return _cut(source, "the file ends in its header")
    head = found.end() if found else 0
    length = _LENGTH.search(source.bytes, 0, head)
    if length is None or _HEADER.search(source.bytes, 1, head):
        return _corrupt(source, "its header names no length")
    num_bytes = int(length.group(1))
    if num_bytes > max_bytes:
        return _large(source, head, num_bytes)
    end = head + num_bytes
    if not source.fill(end + _ROOM) and len(source.bytes) < end:
        return _cut(source, f"{len(source.bytes) - head} of {num_bytes} bytes")
    tail = bytes(source.bytes[end : end + _ROOM])
    rest = tail.lstrip(b"\r\n")
    if rest and not tail.startswith(_ENDS) and not _VERSION.match(rest):
        return _corrupt(source, f"no record ends after its {num_bytes} bytes")
    if not rest and source.is_over and source.is_damaged:
        source.bytes.clear()
        return None
    record = bytes(source.bytes[:end])
    source.drop(end)
    return record


def _cut(source: _Source, message: str) -> Failure | None:
    """What comes of a record that ends too late: it may have swallowed others."""
    if _HEADER.search(source.bytes, 1):
        return _corrupt(source, message)
    source.bytes.clear()
    return None if source.is_damaged else Failure("truncated-record", message)


def _corrupt(source: _Source, message: str) -> Failure | None:
    source.drop(1)
    if not source.skip_to_record() and source.is_damaged:
        return None
    return Failure("corrupt-record", message)


def _large(source: _Source, head: int, num_bytes: int) -> bytes | Failure | None:
    """The beginning of a record that is not held."""
    source.fill(head + min(_PREFIX, num_bytes))
    prefix = bytes(source.bytes[: head + min(_PREFIX, num_bytes)])
    # So that it is not taken for one that follows.
    source.drop(1)
    left = head + num_bytes - 1
    while left > 0 and source.fill(1):
        source.fill(CHUNK)
        if found := _HEADER.search(source.bytes, 0, left):
            source.drop(found.start())
            return Failure("corrupt-record", f"another record begins before its {num_bytes} bytes end")
        # Where there are more bytes, a header may begin in the last ones.
        done = min(left, len(source.bytes) if source.is_over else len(source.bytes) - _ROOM)
        source.drop(done)
        left -= done
    if not left:
        return prefix
    return (
        None if source.is_damaged else Failure("truncated-record", f"{left} of {num_bytes} bytes are missing")
    )
