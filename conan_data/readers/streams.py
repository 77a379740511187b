"""Bytes out of files, compressed or not, as far as they can be read.

A compressed stream that breaks off, or is damaged, gives everything before that point and then says so once:
what comes after cannot be read by anybody. Memory is bounded: a chunk is about `CHUNK` bytes, of a zstd file
that unpacks to thousands of times its size at most 128 MB.
"""

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import zstandard

CHUNK = 1 << 20
PACKED = (".gz", ".zst", ".bz2", ".xz")
"""Endings of compressed files."""
_ZSTD_CHUNK = 1 << 12
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a stream ends too early: the reason, and what the library says."""

    reason: str
    message: str


def unpacked_name(name: str) -> str:
    """`name` without the ending of a compressed file."""
    return next((name[: -len(ending)] for ending in PACKED if name.lower().endswith(ending)), name)


def chunks(path: str) -> Iterator[bytes | Failure]:
    """The bytes of a file, unpacked by its ending; the last item is a `Failure` where a compressed one is not
    whole.
    """
    with open(path, "rb") as file:
        try:
            yield from _unpacked(path, file)
        except EOFError as error:
            yield Failure("truncated-file", str(error))
        except (zlib.error, zstandard.ZstdError, lzma.LZMAError, gzip.BadGzipFile) as error:
            yield Failure("corrupt-file", str(error))
        except OSError as error:
            # bz2 has no error class of its own; what the system reports has a number.
            if error.errno is not None:
                raise
            yield Failure("corrupt-file", str(error))


def _unpacked(path: str, file: BinaryIO) -> Iterator[bytes]:
    if os.fstat(file.fileno()).st_size == 0:
        return
    if path.lower().endswith(".zst"):
        yield from _zstd_chunks(file)
        return
    opener = next((opener for ending, opener in _OPENERS.items() if path.lower().endswith(ending)), None)
    if opener is None:
        yield from iter(lambda: file.read(CHUNK), b"")
        return
    with opener(file) as stream:
        # `read` would lose what it had unpacked before an error.
        yield from _gathered(iter(lambda: stream.read1(CHUNK), b""))


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """`pieces` joined to chunks; what was gathered before an error comes first."""
    held: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= CHUNK:
                whole = b"".join(held)
                held, size = [], 0
                yield whole
    except (EOFError, zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError):
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def _zstd_chunks(file: BinaryIO) -> Iterator[bytes]:
    """The library's stream reader takes a file that breaks off for one that ends; its frame decoder says
    whether the frame was whole.
    """
    return _gathered(_zstd_pieces(file))


def _zstd_pieces(file: BinaryIO) -> Iterator[bytes]:
    decoder = zstandard.ZstdDecompressor().decompressobj()
    begun = False
    for chunk in iter(lambda: file.read(_ZSTD_CHUNK), b""):
        data = chunk
        while data:
            begun = True
            piece = decoder.decompress(data)
            if piece:
                yield piece
            data = decoder.unused_data
            if decoder.eof:
                decoder, begun = zstandard.ZstdDecompressor().decompressobj(), False
            else:
                data = b""
    if begun:
        raise EOFError("the last zstd frame is not whole")
