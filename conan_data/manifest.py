"""What an artifact says of itself, and whether a directory is what its manifest says.

Every reader gets a manifest from `read_manifest` and a job from `read_job`, whose fields have been checked: types,
ranges, and that no path leads out of the artifact. Both are sealed (see `sealed`), so one that was cut or edited is
refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NotRequired, TypedDict, cast

import pyarrow as pa
import pyarrow.parquet as pq

from conan_data.checkpoint_names import FOLDER as CHECKPOINTS
from conan_data.errors import UserError
from conan_data.files import hash_file
from conan_data.places import JOB, LOCK, MANIFEST, WHOLE
from conan_data.sealed import read_sealed

SCHEMA_VERSION = 2
TIMES, TIMES_PAGE, TRACKERS = "times.jsonl", "times.html", "trackers"
"""Names in an artifact, at any depth, of what differs between two runs of one job: clock times, a page that shows
them, what trackers write. Manifests do not list them, so that the same job has the same manifest, and nothing but
pages for people may be made from them. Nor do they list the checkpoints of a training, which hold times.
"""
_HASH = re.compile(r"[0-9a-f]{64}")


class FileRecord(TypedDict):
    """A file of an artifact; `rows` is None for what has none, or is not Parquet."""

    path: str
    rows: int | None
    bytes: int
    sha256: str


class RowsRecord(TypedDict):
    """`Rows` as JSON."""

    read: int
    kept: int
    dropped: dict[str, int]


class Job(TypedDict):
    """What is made of what by which code (see `job`)."""

    kind: str
    schema_version: int
    command: str
    config: dict[str, Any]
    inputs: list[dict[str, Any]]
    versions: dict[str, str]
    commit: str | None
    job_hash: str
    extended_from: NotRequired[list[dict[str, Any]]]


class Manifest(Job):
    """The content of `manifest.json`."""

    rows: RowsRecord
    files: list[FileRecord]
    extra: dict[str, Any]


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


def verify(directory: Path, manifest: Manifest) -> None:
    """Raises `UserError` for a file that is missing, that the manifest does not list, or that has changed."""
    listed = {entry["path"]: entry for entry in manifest["files"]}
    present = set(filter(is_listed, _relative_files(directory)))
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


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of an artifact. Raises `UserError` where there is none, a newer version wrote it, or it is
    not as it was written.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise UserError(f"{directory}: has no {MANIFEST}, so it is incomplete or not one of our artifacts")
    values = _read(path)
    _check(path, values, _JOB | _RESULT)
    rows = values["rows"]
    if rows["read"] != rows["kept"] + sum(rows["dropped"].values()):
        raise UserError(f"{path}: field 'rows' does not add up ({rows}); make the artifact again")
    if len({entry["path"] for entry in values["files"]}) < len(values["files"]):
        raise UserError(f"{path}: field 'files' lists a file twice; make the artifact again")
    return cast(Manifest, values)


def read_job(path: Path) -> Job:
    """Return the job in a file that lies in a directory while it is made: `job.json`, or the manifest in its stead.
    Raises `UserError` where it is not as it was written.
    """
    values = _read(path)
    _check(path, values, _JOB)
    return cast(Job, values)


def is_timed(path: str) -> bool:
    """Return whether the file at `path` in an artifact differs between two runs of one job."""
    place = PurePosixPath(path)
    is_in_checkpoint = len(place.parts) > 1 and place.parts[0] == CHECKPOINTS
    return is_in_checkpoint or place.name in (TIMES, TIMES_PAGE) or TRACKERS in place.parts[:-1]


def is_listed(path: str) -> bool:
    """Return whether a manifest lists the file at `path` in an artifact: not our marks, nor what is timed, nor what the
    Hub puts beside the files of a repository.
    """
    is_of_the_hub = path == ".gitattributes" or path.startswith(".cache/huggingface/")
    return path not in (MANIFEST, JOB, LOCK, WHOLE) and not is_timed(path) and not is_of_the_hub


def list_files(directory: Path, is_wanted: Callable[[str], bool] = lambda path: True) -> list[FileRecord]:
    """Path, rows (Parquet), bytes and SHA-256 of every file below `directory` whose path `is_wanted`, in the order of
    their paths.
    """
    return [
        {
            "path": path,
            "rows": _num_rows(directory / path) if path.endswith(".parquet") else None,
            "bytes": (directory / path).stat().st_size,
            "sha256": hash_file(directory / path),
        }
        for path in filter(is_wanted, _relative_files(directory))
    ]


def _read(path: Path) -> dict[str, Any]:
    values = read_sealed(path)
    version = values.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise UserError(f"{path.parent}: written by a newer version (schema {version}); upgrade conan-embed")
    if version != SCHEMA_VERSION:
        raise UserError(f"{path}: field 'schema_version' is {version!r}, not {SCHEMA_VERSION}; make it again")
    return values


def _check(path: Path, values: Mapping[str, Any], fields: Mapping[str, Callable[[Any], bool]]) -> None:
    for name, is_right in fields.items():
        if name not in values and name in _OPTIONAL:
            continue
        if name not in values:
            raise UserError(f"{path}: field {name!r} is missing; make the artifact again")
        if not is_right(values[name]):
            shown = repr(values[name])[:100]
            raise UserError(f"{path}: field {name!r} holds {shown}, which cannot be; make the artifact again")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_inner_path(value: Any) -> bool:
    """Whether a path stays below the artifact, and is written in the one way that `list_files` writes it."""
    if not isinstance(value, str) or not value or "\0" in value:
        return False
    place = PurePosixPath(value)
    return not place.is_absolute() and ".." not in place.parts and place.as_posix() == value != "."


def _is_file(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == FileRecord.__annotations__.keys()
        and _is_inner_path(value["path"])
        and (value["rows"] is None or _is_count(value["rows"]))
        and _is_count(value["bytes"])
        and _is_hash(value["sha256"])
    )


def _is_input(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _is_text(value.get("path"))
        and all(_is_hash(value[name]) for name in ("sha256", "manifest_sha256") if name in value)
        and _is_list_of(_is_file)(value.get("files", []))
    )


def _is_rows(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == RowsRecord.__annotations__.keys()
        and _is_count(value["read"])
        and _is_count(value["kept"])
        and _is_mapping_to(_is_count)(value["dropped"])
    )


def _is_extension(value: Any) -> bool:
    return isinstance(value, dict) and _is_count(value.get("step")) and _is_hash(value.get("job_hash"))


def _is_list_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_right, value))


def _is_mapping_to(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(is_right, value.values()))


_JOB: dict[str, Callable[[Any], bool]] = {
    "kind": _is_text,
    "command": _is_text,
    "config": _is_object,
    "inputs": _is_list_of(_is_input),
    "versions": _is_mapping_to(_is_text),
    "commit": lambda value: value is None or _is_text(value),
    "job_hash": _is_hash,
    "extended_from": _is_list_of(_is_extension),
}
_OPTIONAL = ("extended_from",)
_RESULT: dict[str, Callable[[Any], bool]] = {
    "rows": _is_rows,
    "files": _is_list_of(_is_file),
    "extra": _is_object,
}


def _num_rows(path: Path) -> int | None:
    """Rows of a Parquet file; None for one that cannot be read, which its reader puts into quarantine."""
    try:
        return pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError):
        return None


def _relative_files(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
