"""What a card says, apart from how it looks: each kind of artifact turns its manifest into `Facts`."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from conan_data.cards.markdown import Table
from conan_data.errors import UserError
from conan_data.language.labels import read_label
from conan_data.manifest import FileRecord, Manifest

UNKNOWN_LANGUAGE = "und"
_SIZES = {
    10**3: "n<1K",
    10**4: "1K<n<10K",
    10**5: "10K<n<100K",
    10**6: "100K<n<1M",
    10**7: "1M<n<10M",
    10**8: "10M<n<100M",
    10**9: "100M<n<1B",
    10**10: "1B<n<10B",
}
"""Ranges of the Hub, by the number of rows that each ends below."""


@dataclass(frozen=True)
class Part:
    """A config of `datasets.load_dataset`: its files by split, each a path or a pattern of paths."""

    name: str
    splits: Mapping[str, str]
    is_default: bool = False

    def front_matter(self) -> dict[str, Any]:
        """Return the entry of the card's `configs`."""
        files = [{"split": split, "path": path} for split, path in self.splits.items()]
        return {"config_name": self.name, "data_files": files} | (
            {"default": True} if self.is_default else {}
        )


@dataclass(frozen=True)
class Section:
    """A heading with a table, and a sentence before it."""

    title: str
    table: Table
    text: str = ""


@dataclass(frozen=True)
class Bars:
    """A picture: one horizontal bar a label, of the parts that `series` names."""

    name: str
    title: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Ranges:
    """A picture: for each label and series a line from the 5% to the 95% quantile, thick between the quartiles."""

    name: str
    title: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[Sequence[float]]]
    """Five quantiles (5, 25, 50, 75, 95%) a label."""


@dataclass(frozen=True)
class Matrix:
    """A picture: a number for each row and column, dark where it is large."""

    name: str
    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]


Plot = Bars | Ranges | Matrix


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the manifest of one kind of artifact says, for its template."""

    title: str
    parts: Sequence[Part] = ()
    languages: Sequence[str] = ()
    """Labels as they stand in the data."""
    num_rows: int
    """Rows of what the set is mainly made of: documents, queries, pairs."""
    front: Mapping[str, Any] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    plots: Sequence[Plot] = ()
    issues: Sequence[str] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    """Values that the template of the kind names."""

    @property
    def codes(self) -> list[str]:
        """The languages as the Hub files them: ISO codes, without scripts."""
        return sorted({read_label(label) for label in self.languages} - {UNKNOWN_LANGUAGE, ""})

    @property
    def size_category(self) -> str:
        """The range of the Hub that the number of rows is in."""
        return next((name for bound, name in _SIZES.items() if self.num_rows < bound), "10B<n<100B")


def files_below(manifest: Manifest, folder: str) -> list[FileRecord]:
    """Return the files of an artifact below a folder, or matching `folder` itself."""
    return [
        entry
        for entry in manifest["files"]
        if entry["path"] == folder or entry["path"].startswith(f"{folder}/")
    ]


def split_files(manifest: Manifest, folder: str) -> dict[str, str]:
    """Return the files of a part of a set by split: `folder/SPLIT.*`, or `folder.jsonl` for all splits."""
    found = {PurePosixPath(entry["path"]).stem: entry["path"] for entry in files_below(manifest, folder)}
    whole = f"{folder}.jsonl"
    return found or ({"train": whole} if files_below(manifest, whole) else {})


def ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the entries of a count, the largest first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def num_languages(labels: Sequence[str]) -> str:
    """Return "in German", "in 6 languages", or nothing where none is known."""
    from conan_data.xlr.languages import english_name

    known = sorted({read_label(label) or label for label in labels} - {UNKNOWN_LANGUAGE})
    if len(known) == 1:
        with contextlib.suppress(UserError):
            return f" in {english_name(known[0])}"
        return f" in {known[0]}"
    return f" in {len(known)} languages" if known else ""
