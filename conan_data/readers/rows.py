"""A row that could be read, one that could not, and the part of a file that one task reads."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from conan_data.public_names import published_name

RAW_LENGTH = 1000
"""Characters of a broken row that are kept to look at."""


@dataclass(slots=True)
class Row:
    """A row that could be read: its values, its file, and its place there (line, row or record, from 1); of a web page,
    `parts` says by kind how many parts (headings, ...) it has and how many of them were extracted.
    """

    values: dict[str, Any]
    file: str
    place: int
    parts: Mapping[str, tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that could not be read, or not be used: where, why (a short reason to count by), and the first
    `RAW_LENGTH` characters. `is_gap` says that bytes are missing, so that the next row may lack its beginning.
    """

    file: str
    place: int
    reason: str
    raw: str
    is_gap: bool = False

    def to_json(self) -> bytes:
        """One line for a quarantine file."""
        return (
            orjson.dumps({"file": self.file, "place": self.place, "reason": self.reason, "raw": self.raw})
            + b"\n"
        )


@dataclass(frozen=True, slots=True)
class Share:
    """Every `count`-th block of a file, from block `index` on. Over all indices each row is in one share, and
    its place is the same for every `count`.
    """

    index: int = 0
    count: int = 1
    block: int = 1 << 20
    """Bytes of a block, after decompression; kinds of files without lines have blocks of rows."""


WHOLE = Share()


def broken(row: Row, reason: str) -> Broken:
    """`row` as a broken one: it could be read, but not be used."""
    return Broken(row.file, row.place, reason, cut(str(row.values)))


def quarantine(rows: Iterable[Broken], path: Path, *, below: Iterable[str | Path] = ()) -> None:
    """Writes broken rows as JSON lines, one a row, with their files by published names below what the user named."""
    with open(path, "wb") as file:
        file.writelines(replace(row, file=published_name(row.file, below)).to_json() for row in rows)


def cut(text: str | bytes) -> str:
    """The first `RAW_LENGTH` characters, of bytes as far as they are text, without half characters."""
    if isinstance(text, bytes):
        text = text[: 4 * RAW_LENGTH].decode(errors="replace")
    return text[:RAW_LENGTH].encode(errors="replace").decode()
