"""Which documents the report shows: of each reason to drop one, and of each language that is kept, a few.

They are those with the smallest hash of the file and the place in it. So the choice is random with respect to
the contents, but the same for any number of tasks and workers: the smallest of all lie among the smallest of
each part. A part keeps no more than it may have to show, and a document whose hash is too large costs one
comparison.
"""

import hashlib
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from conan_data.corpus.dedup.arrays import mix

FILE = "examples.parquet"
KEPT = "kept"
"""The stage of documents that are kept."""
MOST = 20
"""Examples of one reason."""
SHOWN = 700
"""Characters of a text that an example holds."""
SCHEMA = pa.schema(
    [
        pa.field(name, pa.int64() if name in ("place", "characters", "other_characters") else pa.string())
        for name in (
            "stage",
            "reason",
            "lang",
            "file",
            "place",
            "id",
            "detail",
            "text",
            "characters",
            "other_text",
            "other_characters",
        )
    ]
)
_MASK = (1 << 64) - 1
_UNPRINTABLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
"""Control characters, and the symbols that show them."""


class Example(NamedTuple):
    """A document, or the beginning of it; `other_text` is the one that stayed in its stead. Texts are `SHOWN`
    characters at most, of `characters` and `other_characters`.
    """

    stage: str
    reason: str
    lang: str
    file: str
    place: int
    id: str
    detail: str
    text: str
    characters: int
    other_text: str
    other_characters: int


class Examples:
    """Takes documents in any order, keeps `MOST` of each reason (and of each language of those kept)."""

    def __init__(self) -> None:
        self._groups: defaultdict[tuple[str, str, str], list[tuple[int, Example]]] = defaultdict(list)

    def wants(self, stage: str, reason: str, lang: str, file: str, place: int) -> bool:
        """Whether a document would be among the examples; ask before its texts are fetched."""
        group = self._groups[_group(stage, reason, lang)]
        return len(group) < MOST or place_hash(file, place) <= group[-1][0]

    def offer(
        self,
        stage: str,
        reason: str,
        *,
        lang: str | None,
        file: str,
        place: int,
        id: str,
        detail: str | None,
        text: str,
        other_text: str = "",
    ) -> None:
        """Takes a document if it is wanted; `stage` is `KEPT` (and `reason` empty) for one that is kept."""
        if self.wants(stage, reason, lang or "", file, place):
            texts = (_beginning(text), len(text), _beginning(other_text), len(other_text))
            self.add(Example(stage, reason, lang or "", file, place, id, detail or "", *texts))

    def candidates(
        self, stage: str, reason: str, lang: str, files: Sequence[str], places: np.ndarray
    ) -> list[int]:
        """Which of many documents of one group would be among the examples (indices): `wants` for columns."""
        group = self._groups[_group(stage, reason, lang)]
        hashes = place_hashes(files, places)
        bound = group[-1][0] if len(group) == MOST else _MASK
        below = np.flatnonzero(hashes <= np.uint64(bound))
        return below[np.argsort(hashes[below], kind="stable")[:MOST]].tolist()

    def add(self, example: Example) -> None:
        """Takes an example of another part."""
        group = self._groups[_group(example.stage, example.reason, example.lang)]
        insort(group, (place_hash(example.file, example.place), example))
        del group[MOST:]

    def sorted(self) -> list[Example]:
        """All examples, by stage, reason and (where they are kept) language, then by their hash."""
        return [example for _, group in sorted(self._groups.items()) for _, example in group]


def place_hash(file: str, place: int) -> int:
    """64 bits that depend on the file's name and the row's place in it alone (the splitmix64 finaliser)."""
    value = (_file_hash(file) + place * 0x9E3779B97F4A7C15) & _MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31


def place_hashes(files: Sequence[str], places: np.ndarray) -> np.ndarray:
    """uint64 [N]: `place_hash` of each file and place (int64 [N])."""
    values = np.fromiter(map(_file_hash, files), np.uint64, len(files))
    values += places.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return mix(values)


def write(path: Path, examples: Iterable[Example]) -> None:
    """Examples as a Parquet table; the same ones give the same bytes."""
    table = pa.Table.from_pylist([example._asdict() for example in examples], schema=SCHEMA)
    pq.write_table(table, path, compression="zstd")


def read(path: Path) -> list[Example]:
    """What `write` wrote."""
    return [Example(**row) for row in pq.read_table(path, schema=SCHEMA).to_pylist()]


def merge(paths: Iterable[Path]) -> Examples:
    """The examples of several parts together."""
    merged = Examples()
    for path in paths:
        for example in read(path):
            merged.add(example)
    return merged


def _group(stage: str, reason: str, lang: str) -> tuple[str, str, str]:
    return stage, reason, lang if stage == KEPT else ""


def _beginning(text: str) -> str:
    """The first characters, so that they can be stored and shown."""
    return text[:SHOWN].encode("utf-8", "replace").decode().translate(_UNPRINTABLE)


@lru_cache(maxsize=4096)
def _file_hash(file: str) -> int:
    digest = hashlib.blake2b(file.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
