"""What a push sends: the files of an artifact with its card, and a manifest that names no place on this machine.

Files of rows that were refused stay here: nobody has asked whether they may be published. The manifest is written anew
for the files that go, so that a downloaded copy is an artifact that opens; it names the hash of the one that stays here.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from conan_data import artifact
from conan_data.artifact import Artifact
from conan_data.cards.build import KIND as CARD_KIND
from conan_data.cards.card import CARD, default_card, facts_of
from conan_data.errors import UserError
from conan_data.files import hash_file
from conan_data.manifest import MANIFEST, FileRecord
from conan_data.public_names import without_paths
from conan_data.sealed import seal

_REFUSED_ROWS = ("quarantine.", "dropped.", "removed.", "reported.", "report.html", "examples.", "to_label.")
"""Beginnings of the names of files that hold, or quote, rows that were refused."""
_REPO_TYPES = {"classifier": "model"}


@dataclass(frozen=True)
class Upload:
    """A file that goes: its path in the repository, and its content."""

    path: str
    content: Path | bytes
    rows: int | None = None
    sha256: str = ""
    """Given where it is known."""

    @cached_property
    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    @cached_property
    def hash(self) -> str:
        """SHA-256."""
        if self.sha256:
            return self.sha256
        return (
            hashlib.sha256(self.content).hexdigest()
            if isinstance(self.content, bytes)
            else hash_file(self.content)
        )

    @cached_property
    def git_hash(self) -> str:
        """The name of the content in git, for files that are not stored apart."""
        content = self.content if isinstance(self.content, bytes) else self.content.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

    def record(self) -> FileRecord:
        """Return its entry in a manifest."""
        return {"path": self.path, "rows": self.rows, "bytes": self.size, "sha256": self.hash}


@dataclass(frozen=True)
class Plan:
    """All that a commit makes the repository hold."""

    kind: str
    """Of the artifact."""
    repo_type: str
    uploads: Sequence[Upload]
    left_out: Sequence[str] = ()
    loads: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    """Rows that `datasets.load_dataset` must give, by config and split; None where they are not known."""
    retrieval_splits: Sequence[str] = ()
    """Splits that mteb must load."""

    @property
    def card(self) -> str:
        """The text of the card."""
        return next(_text(upload) for upload in self.uploads if upload.path == CARD)

    @property
    def license(self) -> str:
        """The licence that the card states; empty for none, and for one that is unknown."""
        found = str(front_matter(self.card).get("license", ""))
        return "" if found == "unknown" else found


def make_plan(opened: Artifact, card: str) -> Plan:
    """Return what a push of an artifact sends, with the card in the folder `card`, or else the one that it has.

    Raises `UserError` for a kind that has no card, and for the card of another artifact.
    """
    facts = facts_of(opened.manifest)
    uploads, left_out = [], []
    for entry in opened.manifest["files"]:
        if entry["path"].startswith(_REFUSED_ROWS):
            left_out.append(entry["path"])
        elif entry["path"] != CARD:
            uploads.append(_upload(opened.dir, entry))
    uploads += _card_files(opened, card)
    uploads.sort(key=lambda upload: upload.path)
    uploads.append(Upload(MANIFEST, _published_manifest(opened, uploads, left_out)))
    by_path = {upload.path: upload for upload in uploads}
    loads = {
        part.name: {split: _rows(by_path, pattern) for split, pattern in part.splits.items()}
        for part in facts.parts
    }
    return Plan(
        kind=opened.manifest["kind"],
        repo_type=_REPO_TYPES.get(opened.manifest["kind"], "dataset"),
        uploads=uploads,
        left_out=left_out,
        loads=loads,
        retrieval_splits=sorted(loads["corpus"]) if {"corpus", "queries", "default"} <= loads.keys() else (),
    )


def front_matter(card: str) -> dict[str, Any]:
    """Return the metadata of a card."""
    parts = card.split("---\n", 2)
    found = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    return found if isinstance(found, dict) else {}


def _upload(folder: Path, entry: FileRecord) -> Upload:
    return Upload(entry["path"], folder / entry["path"], entry["rows"], entry["sha256"])


def _card_files(opened: Artifact, card: str) -> Iterator[Upload]:
    if not card:
        for path, text in default_card(opened.manifest).items():
            yield Upload(path, text.encode())
        return
    written = artifact.open_artifact(card, kind=CARD_KIND)
    if written.manifest["extra"].get("of") != opened.manifest_hash:
        raise UserError(
            f"card: {card} is the card of another artifact, or of an earlier one; write it again for {opened.dir}"
        )
    for entry in written.manifest["files"]:
        yield _upload(written.dir, entry)


def _published_manifest(opened: Artifact, uploads: Sequence[Upload], left_out: Sequence[str]) -> bytes:
    plain = without_paths({key: value for key, value in opened.manifest.items() if key != "files"})
    published = {"manifest_sha256": opened.manifest_hash, "left_out": list(left_out)}
    return seal(
        {
            **plain,
            "files": [upload.record() for upload in uploads],
            "extra": {**plain["extra"], "published": published},
        }
    )


def _rows(uploads: Mapping[str, Upload], pattern: str) -> int | None:
    found = [
        upload.rows
        for path, upload in uploads.items()
        if path.count("/") == pattern.count("/") and PurePosixPath(path).match(pattern)
    ]
    return None if None in found else sum(rows or 0 for rows in found)


def _text(upload: Upload) -> str:
    content = upload.content if isinstance(upload.content, bytes) else upload.content.read_bytes()
    return content.decode("utf-8")
