"""What must not be published: tokens and keys, paths of this machine, and rows that no check has seen.

Tokens are known by their form, and those of this machine (the Hub's token, and variables of the environment that are
named like a secret) by their value. A path of this machine is one below a folder that this run uses, anywhere; and in
fields that are no prose, and in files that are no tables, any absolute path below a folder that this machine has. In
prose, paths such as /usr/bin are what the text is about. Findings say where, never what.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from conan_data.publish.config import Refusal

_FORMS = (
    r"hf_[A-Za-z0-9]{30,}",
    r"sk-[A-Za-z0-9_-]{24,}",
    r"gh[pousr]_[A-Za-z0-9]{36}",
    r"github_pat_[A-Za-z0-9_]{40,}",
    r"glpat-[A-Za-z0-9_-]{20}",
    r"xox[abprs]-[A-Za-z0-9-]{20,}",
    r"AKIA[0-9A-Z]{16}",
    r"AIza[0-9A-Za-z_-]{35}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
)
_VARIABLE = re.compile(r"(?i)(token|secret|passw|api_?key|_key$)")
_PROSE = frozenset(
    {"text", "title", "query", "document", "positive", "negative", "anchor", "instruction", "input", "output"}
)
"""Columns in which people write about paths."""
_FOLDERS = {"home", "Users", "root", "mnt", "media", "scratch"}
_CHUNK = 2**24
_OVERLAP = 2**12


@dataclass(frozen=True)
class Finding:
    """What must not be published, and where it is."""

    reason: Refusal
    path: str
    place: str

    def __str__(self) -> str:
        words = {
            "secrets": "holds what looks like a token or a key",
            "paths": "holds a path of this machine",
            "unchecked-rows": "holds rows that passed no check",
        }
        return f"{self.path}: {words[self.reason]} ({self.place})"


class Scanner:
    """Looks into files for what is secret or of this machine; `folders` are those that this run uses."""

    def __init__(self, folders: Iterable[Path], *, token: str | None) -> None:
        known = [token or "", *(value for name, value in os.environ.items() if _VARIABLE.search(name))]
        values = sorted({re.escape(value) for value in known if len(value) >= 16})
        self._secret = "|".join([*(f"(^|[^A-Za-z0-9]){form}" for form in _FORMS), *values])
        own = {str(folder.resolve()) for folder in (*folders, Path.cwd(), Path.home(), Path(sys.prefix))}
        own.add(str(Path(tempfile.gettempdir()).resolve()))
        self._own = "|".join(sorted(re.escape(path) for path in own if path.count("/") > 1)) or r"[^\s\S]"
        tops = "|".join(sorted(re.escape(name) for name in _FOLDERS | _top_folders()))
        self._absolute = rf"^(file://)?/({tops})/[^/]|^[A-Za-z]:[\\/]"
        self._in_file = r"(^|[\s\"'(=:]|file://)(/(home|Users|root)/[\w.-]|[A-Za-z]:\\\\?Users\\)"

    def look(self, path: str, content: Path | bytes) -> Iterator[Finding]:
        """Yield what is found in a file, at most one finding of a kind."""
        found: dict[str, Finding] = {}
        places = (
            self._in_table(content)
            if path.endswith(".parquet") and isinstance(content, Path)
            else self._in_bytes(content)
        )
        for reason, place in places:
            found.setdefault(reason, Finding(reason, path, place))
        yield from found.values()

    def _in_bytes(self, content: Path | bytes) -> Iterator[tuple[Refusal, str]]:
        secret = re.compile(self._secret.encode())
        own = re.compile(f"{self._own}|{self._in_file}".encode(), re.MULTILINE)
        for start, chunk in _chunks(content):
            for reason, pattern in (("secrets", secret), ("paths", own)):
                if match := pattern.search(chunk):
                    yield reason, f"byte {start + match.start():,}"  # type: ignore[misc]

    def _in_table(self, path: Path) -> Iterator[tuple[Refusal, str]]:
        row = 1
        for batch in pq.ParquetFile(path).iter_batches(batch_size=16_384):
            for name, column in zip(batch.schema.names, batch.columns):
                for values in _texts(column):
                    pattern = self._own if name in _PROSE else f"{self._own}|{self._absolute}"
                    for reason, wanted in (("secrets", self._secret), ("paths", pattern)):
                        if pc.any(pc.match_substring_regex(values, wanted)).as_py():
                            place = f"column {name}, among rows {row:,} to {row + batch.num_rows - 1:,}"
                            yield reason, place  # type: ignore[misc]
            row += batch.num_rows


def unchecked_rows(path: str, file: Path) -> Iterator[Finding]:
    """Yield a finding for queries of which a check is on no record (see `tables.XLR_QUERIES`)."""
    parquet = pq.ParquetFile(file)
    if "checks" not in parquet.schema_arrow.names:
        yield Finding("unchecked-rows", path, f"all {parquet.metadata.num_rows:,}: it has no column checks")
        return
    checks = parquet.read(["checks"]).column("checks")
    passed = pc.sum(pc.not_equal(pc.fill_null(checks, ""), "")).as_py() or 0
    if passed < len(checks):
        yield Finding("unchecked-rows", path, f"{len(checks) - passed:,} of {len(checks):,}")


def _texts(column: pa.Array) -> Iterator[pa.Array]:
    """The arrays of text in a column, also of lists and of structs."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield column
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _texts(column.flatten())
    elif pa.types.is_struct(kind):
        for part in column.flatten():
            yield from _texts(part)


def _chunks(content: Path | bytes) -> Iterator[tuple[int, bytes]]:
    """Pieces with their places, each of which begins before the last one ends."""
    if isinstance(content, bytes):
        yield 0, content
        return
    with content.open("rb") as file:
        tail, start = b"", 0
        while piece := file.read(_CHUNK):
            yield start - len(tail), tail + piece
            start += len(piece)
            tail = piece[-_OVERLAP:]


def _top_folders() -> set[str]:
    try:
        return {entry.name for entry in os.scandir("/") if entry.is_dir()}
    except OSError:
        return set()
