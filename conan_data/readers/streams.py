"""Bytes out of files, compressed or not, as far as they can be read.

A compressed file is a row of members that are unpacked each by itself (gzip members, zstd frames, bzip2 and xz
streams): concatenated files, WARC files and parallel compressors have many. Reading goes on after a damaged one
at the next place where a member begins, so damage costs one member and not the rest of the file. A file of a single
member has no such place: what follows the damage cannot be read by anybody.

Damage shows late: decoders go on for a while, and what they give is wrong, in places that look right. So the last
`HELD` bytes before an error are left out, which is all of most members. (Of a larger member whose only error is its
check sum, wrong bytes may have been given.) A member that is only cut gives everything.

Memory is bounded: a chunk is about `CHUNK` bytes, of a file that unpacks to thousands of times its size at most
128 MB.
"""

import bz2
import lzma
import os
import re
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import zstandard

CHUNK = 1 << 20
PACKED = (".gz", ".zst", ".bz2", ".xz")
"""Endings of compressed files."""
HELD = 1 << 20
"""Unpacked bytes that are held until those after them are known to be undamaged."""
_FEED = 1 << 12
"""Compressed bytes that are unpacked at a time, which bounds what they unpack to."""
_HEAD = 16
"""Bytes that are enough to tell where a member begins."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Bytes of a stream that cannot be read: the reason, and what the library says.

    `is_inside` says that the bytes just before it are of the same member.
    """

    reason: str
    message: str
    is_inside: bool = True


class _Format(NamedTuple):
    """How members of a kind of file begin, and what unpacks one."""

    decoder: Callable[[], Any]
    start: re.Pattern[bytes]
    padding: bytes = b""
    """What may fill the space after a member."""


_FORMATS = {
    # Magic, method, no reserved flag, any time, and the compression levels and systems that RFC 1952 knows.
    ".gz": _Format(
        lambda: zlib.decompressobj(wbits=31),
        re.compile(rb"\x1f\x8b\x08[\x00-\x1f].{4}[\x00\x02\x04][\x00-\x0d\xff]", re.DOTALL),
        b"\0",
    ),
    # A frame whose reserved bit is 0, or one that is to be skipped.
    ".zst": _Format(
        lambda: zstandard.ZstdDecompressor().decompressobj(),
        re.compile(
            rb"\x28\xb5\x2f\xfd[\x00-\x07\x10-\x17\x20-\x27\x30-\x37\x40-\x47\x50-\x57\x60-\x67\x70-\x77"
            rb"\x80-\x87\x90-\x97\xa0-\xa7\xb0-\xb7\xc0-\xc7\xd0-\xd7\xe0-\xe7\xf0-\xf7]|[\x50-\x5f]\x2a\x4d\x18"
        ),
    ),
    ".bz2": _Format(bz2.BZ2Decompressor, re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")),
    ".xz": _Format(lzma.LZMADecompressor, re.compile(rb"\xfd7zXZ\x00\x00[\x00-\x0f]"), b"\0"),
}
_ERRORS = (zlib.error, zstandard.ZstdError, lzma.LZMAError, EOFError)


def unpacked_name(name: str) -> str:
    """`name` without the ending of a compressed file."""
    return next((name[: -len(ending)] for ending in PACKED if name.lower().endswith(ending)), name)


def chunks(path: str) -> Iterator[bytes | Failure]:
    """Yield the bytes of a file, unpacked by its ending, and a `Failure` wherever some cannot be read."""
    with open(path, "rb", buffering=CHUNK) as file:
        found = next((name for name in PACKED if path.lower().endswith(name)), None)
        if found is None:
            yield from iter(lambda: file.read(CHUNK), b"")
        else:
            yield from _gathered(_members(file, _FORMATS[found]))


def _members(file: BinaryIO, format_: _Format) -> Iterator[bytes | Failure]:
    """What the members of a file hold, in small pieces."""
    start: int | None = 0
    if not os.fstat(file.fileno()).st_size:
        return
    while start is not None:
        failure = yield from _member(file, format_, start)
        if failure is not None:
            yield failure
            # From the second byte on: a damaged member may have run on into those after it.
            start = _next_start(file, start + 1, format_.start)
            continue
        end = _skip_padding(file, format_.padding)
        head = file.read(_HEAD)
        if not head:
            return
        start = end
        if not format_.start.match(head):
            yield Failure("corrupt-file", f"byte {end}: no compressed data begins here", is_inside=False)
            start = _next_start(file, end, format_.start)


def _member(file: BinaryIO, format_: _Format, start: int) -> Generator[bytes, None, Failure | None]:
    """Yield what the member at `start` holds; return why it is not whole. The file then stands behind it."""
    file.seek(start)
    decoder = format_.decoder()
    held: deque[bytes] = deque()
    num_held, has_begun = 0, False
    try:
        while not decoder.eof:
            data = file.read(_FEED)
            if not data:
                yield from held
                message = "compressed data ends before its end mark"
                return Failure("truncated-file", message, is_inside=has_begun or bool(held))
            if piece := decoder.decompress(data):
                held.append(piece)
                num_held += len(piece)
                while num_held - len(held[0]) > HELD:
                    num_held -= len(held[0])
                    has_begun = True
                    yield held.popleft()
    except (*_ERRORS, OSError) as error:
        # bz2 has no error class of its own; what the system reports has a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        message = f"{error}, in compressed data that begins at byte {start}; {num_held} bytes before it are left out"
        if has_begun:
            message += ", and what was read before those is not verified"
        return Failure("corrupt-file", message, is_inside=has_begun)
    yield from held
    file.seek(-len(decoder.unused_data), os.SEEK_CUR)
    return None


def _skip_padding(file: BinaryIO, padding: bytes) -> int:
    """Move the file behind bytes of padding, and return its position."""
    position = file.tell()
    while padding and (data := file.read(_FEED)):
        rest = data.lstrip(padding)
        if rest:
            position = file.tell() - len(rest)
            break
        position = file.tell()
    file.seek(position)
    return position


def _next_start(file: BinaryIO, position: int, start: re.Pattern[bytes]) -> int | None:
    """Return where a member begins next, from `position` on."""
    file.seek(position)
    held = b""
    while chunk := file.read(CHUNK):
        held += chunk
        if found := start.search(held):
            return position + found.start()
        keep = held[-_HEAD:]
        position += len(held) - len(keep)
        held = keep
    return None


def _gathered(pieces: Iterator[bytes | Failure]) -> Iterator[bytes | Failure]:
    """Join pieces to chunks; what was gathered before a `Failure` comes first."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        if isinstance(piece, bytes):
            held.append(piece)
            size += len(piece)
        if held and (size >= CHUNK or isinstance(piece, Failure)):
            yield b"".join(held)
            held, size = [], 0
        if isinstance(piece, Failure):
            yield piece
    if held:
        yield b"".join(held)
