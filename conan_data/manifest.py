"""What an artifact says of itself, and whether a directory is what its manifest says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from conan_data.errors import UserError
from conan_data.files import hash_file

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
JOB, LOCK = "job.json", ".lock"
"""What lies beside the files while an artifact is made, and is no part of it."""


@dataclass(frozen=True)
class Rows:
    """What became of the rows that a stage read; `read == kept + sum(dropped.values())`, or it is not
    published.
    """

    read: int
    kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lost = self.read - self.kept - sum(self.dropped.values())
        assert lost == 0, (
            f"{self.read} rows read, {self.kept} kept, {dict(self.dropped)} dropped: {lost} rows are unaccounted for"
        )


def describe(rows: Rows) -> str:
    """One line: read, kept, and the drops by reason, largest first."""
    dropped = ", ".join(
        f"{reason} {count:,}"
        for reason, count in sorted(rows.dropped.items(), key=lambda item: (-item[1], item[0]))
    )
    return f"{rows.read:,} read, {rows.kept:,} kept" + (f", dropped: {dropped}" if dropped else "")


def is_artifact(path: str | Path) -> bool:
    """Whether `path` is a directory with a manifest (it is not verified)."""
    return (Path(path) / MANIFEST).is_file()


def verify(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Raises `UserError` for a file that is missing, that the manifest does not list, or that has changed."""
    listed = {entry["path"]: entry for entry in manifest["files"]}
    present = set(_relative_files(directory))
    for path in sorted(listed.keys() - present):
        raise UserError(f"{directory}: {path} is missing; the manifest lists it")
    for path in sorted(present - listed.keys()):
        raise UserError(f"{directory}: {path} is not in the manifest; remove it, or make the artifact again")
    for path, entry in listed.items():
        if (directory / path).stat().st_size != entry["bytes"] or hash_file(directory / path) != entry[
            "sha256"
        ]:
            raise UserError(
                f"{directory}: {path} has changed since it was written; make the artifact again with --overwrite"
            )


def read_manifest(directory: Path) -> dict[str, Any]:
    """Raises `UserError` where there is none, or what is there is no manifest."""
    path = directory / MANIFEST
    if not path.is_file():
        raise UserError(f"{directory}: has no {MANIFEST}, so it is incomplete or not one of our artifacts")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if missing := {"kind", "schema_version", "files", "rows", "job_hash"} - manifest.keys():
            raise UserError(f"{path}: field {min(missing)!r} is missing")
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise UserError(f"{path}: not a manifest ({error})") from error
    return manifest


def list_files(directory: Path) -> list[dict[str, Any]]:
    """Path, rows (Parquet), bytes and SHA-256 of every file below `directory`, in the order of their paths;
    our own marks are left out.
    """
    return [
        {
            "path": path,
            "rows": _num_rows(directory / path) if path.endswith(".parquet") else None,
            "bytes": (directory / path).stat().st_size,
            "sha256": hash_file(directory / path),
        }
        for path in _relative_files(directory)
    ]


def _num_rows(path: Path) -> int | None:
    """Rows of a Parquet file; None for one that cannot be read, which its reader puts into quarantine."""
    try:
        return pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError):
        return None


def _relative_files(directory: Path) -> list[str]:
    return sorted(
        relative
        for path in directory.rglob("*")
        if path.is_file()
        and (relative := path.relative_to(directory).as_posix()) not in (MANIFEST, JOB, LOCK)
    )
