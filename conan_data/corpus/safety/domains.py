"""Block lists of domains and addresses, millions of entries long, asked once a document.

An entry `example.com` blocks that host and every host below it; `example.com/shop` blocks that page and every
page below it, on these hosts. Hosts compare in small letters and in their ASCII (punycode) form, without user
and port; of an address, the path counts, and what stands behind `?` or `#` does not. Each parent of a host is looked up
by itself, so no list of public suffixes is needed; an entry `com` would block all of it.

A list is compiled once into a sorted array of 64-bit hashes, which all workers map into memory: 8 bytes an
entry, where a set of the strings takes 100 in each process. That a host is blocked by a collision is less
likely than 1 in a million for a billion hosts and five million entries.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from conan_data.errors import UserError
from conan_data.files import written_aside

DATATROVE_LISTS = "url_filterblacklistsv0_3_0.tar.gz"
BLOCK = 1 << 24
"""Bytes of a list that are read at a time."""
HOSTS_REMEMBERED = 1 << 16
MAX_PATH_PARTS = 16
"""Parts of a path that are looked up; entries are not longer."""
LONGEST_SCHEME = 12
_PAGES_BELOW = "/"
"""An entry with this behind its host says that there are entries with a path below the host."""


class BlockList:
    """A compiled list; `find` answers with the entry that blocks an address."""

    def __init__(self, path: Path) -> None:
        self._hashes = np.load(path, mmap_mode="r")
        self._look_up = lru_cache(HOSTS_REMEMBERED)(self._look_up_host)

    def find(self, url: str) -> str:
        """The entry that blocks `url`, or ""; an address without a host is not blocked."""
        host, path = split_address(url)
        entry, with_pages = self._look_up(host)
        if entry or not with_pages or not path:
            return entry
        parts = path.split("/")[:MAX_PATH_PARTS]
        pages = [
            f"{parent}/{'/'.join(parts[:length])}"
            for parent in with_pages
            for length in range(1, len(parts) + 1)
        ]
        return next(compress(pages, self._holds(pages)), "")

    def _look_up_host(self, host: str) -> tuple[str, tuple[str, ...]]:
        """The entry that blocks the host, and its parents (itself included) that have pages in the list."""
        names = list(parents(host))
        held = self._holds([*names, *(name + _PAGES_BELOW for name in names)])
        entry = next(compress(names, held), "")
        return entry, tuple(compress(names, held[len(names) :]))

    def _holds(self, entries: list[str]) -> list[bool]:
        keys = np.array([_hash(entry.encode()) for entry in entries], dtype=np.uint64)
        places = self._hashes.searchsorted(keys)
        return (self._hashes.take(places, mode="clip") == keys).tolist() if len(self._hashes) else []


def compile_list(files: Iterable[Path], path: Path, *, datatrove: bool) -> None:
    """Writes the compiled list of `files`, and of datatrove's where asked for, to `path`.

    Raises `UserError` naming file and line for an entry that is neither a domain nor an address.
    """
    hashes: set[int] = set()
    for file in files:
        for place, line in enumerate(_lines(file), start=1):
            if text := line.split("#")[0].strip():
                host, page = split_address(text)
                if not host or " " in text:
                    raise UserError(f"{file}: line {place}: not a domain or address: {text!r}")
                hashes.update(_hash(entry.encode()) for entry in _entries(host, page))
    found = np.fromiter(hashes, dtype=np.uint64, count=len(hashes))
    if datatrove:
        found = np.concatenate([found, _datatrove_hashes()])
    with written_aside(path) as aside, open(aside, "wb") as out:
        np.save(out, np.unique(found))


def split_address(url: str) -> tuple[str, str]:
    """Host and path of an address, with or without a scheme, in the form in which they are compared: no user,
    port or query, no slash at either end of the path.
    """
    rest = url.strip()
    if "://" in rest[:LONGEST_SCHEME]:
        rest = rest.partition("://")[2]
    for mark in "#?":
        rest = rest.partition(mark)[0]
    host, _, path = rest.removeprefix("//").replace("\\", "/").partition("/")
    host = host.rpartition("@")[2]
    host = host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    host = host.strip(".").lower()
    if not host.isascii():
        host = _punycode(host)
    return host, path.strip("/")


def parents(host: str) -> Iterator[str]:
    """`host` and every domain above it: a.b.com, b.com, com."""
    while host:
        yield host
        host = host.partition(".")[2]


def _punycode(host: str) -> str:
    """The ASCII form of a host; as it is where it has none."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def _hash(entry: bytes) -> int:
    return xxhash.xxh3_64_intdigest(entry)


def _entries(host: str, page: str) -> tuple[str, ...]:
    return (f"{host}/{page}", host + _PAGES_BELOW) if page else (host,)


def _lines(file: Path) -> Iterator[str]:
    try:
        opened: Any = gzip.open(file) if file.name.endswith(".gz") else open(file, "rb")  # noqa: SIM115
        with opened as stream:
            for place, line in enumerate(stream, start=1):
                try:
                    yield line.decode("utf-8-sig" if place == 1 else "utf-8")
                except UnicodeDecodeError:
                    raise UserError(f"{file}: line {place}: not UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{file}: not a whole gzip file ({error})") from error


def _datatrove_hashes() -> np.ndarray:
    """The lists that come with datatrove, whose domains are in the form of ours already."""
    from datatrove.utils._import_utils import ASSETS_PATH

    archive = Path(ASSETS_PATH) / DATATROVE_LISTS
    if not archive.is_file():
        raise UserError(
            f"safety.datatrove_domains: {archive} is not there; install a datatrove that has it (0.10)"
        )
    with tarfile.open(archive, "r:gz") as tar:
        hashes = [_hashes_of(tar, name) for name in ("domains", "urls")]
    return np.concatenate(hashes)


def _hashes_of(tar: tarfile.TarFile, name: str) -> np.ndarray:
    member = tar.extractfile(name)
    assert member is not None
    hashes = [np.empty(0, dtype=np.uint64)]
    while block := member.readlines(BLOCK):
        if name == "domains":
            keys = [_hash(line.rstrip()) for line in block]
        else:
            keys = [
                _hash(entry.encode()) for line in block for entry in _entries(*split_address(line.decode()))
            ]
        hashes.append(np.array(keys, dtype=np.uint64))
    return np.concatenate(hashes)
