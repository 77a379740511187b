"""Every output directory of this project is published here, and every input directory is opened here.

Without one rule for all stages a killed run leaves a folder that looks finished, a rerun mixes two configs,
and a model is trained on half a corpus. The invariant: a directory at its final name is whole, and says what
made it. It is written beside that name as `<out>.partial/`, its files are hashed into `manifest.json`, and
one rename publishes it. A reader refuses a directory without a manifest, or whose files are not exactly those
that the manifest lists.

A job is a command, the identity of its config and the content of its inputs; where it runs, how many workers
it has and when it ran are not part of it, so that the manifest of the same job is the same, byte for byte. Of
a finished run of the same job nothing is done again; an interrupted one starts over, or continues in its
partial directory where the stage can (`resume=True`). Not checked: that a directory stays unchanged while it
is read.
"""

import hashlib
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock
import pyarrow as pa
import pyarrow.parquet as pq

from conan_data import hub
from conan_data.config import StageConfig, identity
from conan_data.errors import UserError

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
HUB = hub.PREFIX
"""Prefix of an input on the Hub: `hf://owner/name`, with `@revision` where one is asked for."""
PACKAGES = (
    "conan-embed",
    "datasets",
    "datatrove",
    "fasttext-numpy2",
    "numpy",
    "polars",
    "py3langid",
    "pyarrow",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "transformers",
)
_JOB, _LOCK, _WORK = "job.json", ".lock", "work"


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


@dataclass(frozen=True)
class Artifact:
    """A directory that was opened and verified."""

    dir: Path
    manifest: dict[str, Any]
    manifest_hash: str

    @property
    def rows(self) -> Rows:
        return Rows(**self.manifest["rows"])

    def files(self, suffix: str) -> list[Path]:
        """The listed files whose name ends with `suffix`, in the order of their names."""
        return [
            self.dir / entry["path"] for entry in self.manifest["files"] if entry["path"].endswith(suffix)
        ]


@dataclass
class Build:
    """An artifact in the making. Only what lies below `dir` when `publish` is called is kept; `work` is
    scratch.
    """

    out: Path
    dir: Path
    done: bool
    header: dict[str, Any]

    @property
    def work(self) -> Path:
        path = self.dir / _WORK
        path.mkdir(exist_ok=True)
        return path

    def publish(self, *, rows: Rows, extra: Mapping[str, Any] | None = None) -> Path:
        """Writes the manifest and moves the directory to its final name; an artifact that is being replaced
        goes away last.
        """
        shutil.rmtree(self.dir / _WORK, ignore_errors=True)
        row_record = {"read": rows.read, "kept": rows.kept, "dropped": dict(sorted(rows.dropped.items()))}
        manifest = {
            **self.header,
            "rows": row_record,
            "files": _list_files(self.dir),
            "extra": dict(extra or {}),
        }
        _write_durably(self.dir / MANIFEST, _json(manifest))
        # Last, so that the directory of a run that is killed here still says whose it is.
        (self.dir / _JOB).unlink()
        (self.dir / _LOCK).unlink(missing_ok=True)
        replaced = _replaced_path(self.out)
        if is_artifact(self.out):
            os.rename(self.out, replaced)
        os.rename(self.dir, self.out)
        sync_directory(self.out.parent)
        if replaced.exists():
            shutil.rmtree(replaced)
        self.done = True
        log.info("%s: %s", self.out, describe(rows))
        return self.out


def describe(rows: Rows) -> str:
    """One line: read, kept, and the drops by reason, largest first."""
    dropped = ", ".join(
        f"{reason} {count:,}"
        for reason, count in sorted(rows.dropped.items(), key=lambda item: (-item[1], item[0]))
    )
    return f"{rows.read:,} read, {rows.kept:,} kept" + (f", dropped: {dropped}" if dropped else "")


@contextmanager
def building(
    config: StageConfig, *, kind: str, command: str, inputs: Iterable[str | Path], resume: bool = False
) -> Iterator[Build]:
    """Opens the partial directory of a job for writing; `Build.done` says that there is nothing to do.

    Raises `UserError` when `config.out` holds something else (another config's artifact without `overwrite`,
    or files that are no artifact), when another process is building it, or when an input does not exist.
    Whatever leaves the block by an exception leaves nothing behind, except the partial directory of a stage
    that can resume and has begun.
    """
    out = Path(config.out)
    header = {
        "kind": kind,
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "config": identity(config),
        "inputs": [describe_input(path) for path in inputs],
        "versions": _versions(),
        "commit": _commit(),
    }
    header["job_hash"] = _hash_json(
        {key: header[key] for key in ("kind", "schema_version", "command", "config", "inputs")}
    )
    _recover(out)
    if _is_done(out, header, overwrite=config.overwrite):
        log.info("%s: done already (%s)", out, command)
        yield Build(out=out, dir=out, done=True, header=header)
        return
    partial = out.with_name(out.name + ".partial")
    created = not partial.exists()
    partial.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(partial / _LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(f"{out}: another process is building it right now") from None
    try:
        try:
            _enter(partial, out, header, resume=resume and not created, overwrite=config.overwrite)
            build = Build(out=out, dir=partial, done=False, header=header)
            yield build
            assert build.done, f"{command} ended without publishing {out}"
        except BaseException:
            if (created or _same_job(partial, header)) and not (resume and _has_begun(partial)):
                shutil.rmtree(partial, ignore_errors=True)
            raise
    finally:
        lock.release()


def open_artifact(path: str | Path, *, kind: str | None = None) -> Artifact:
    """The artifact at `path`, after its files were compared with its manifest (names, sizes, SHA-256).

    Raises `UserError` when it is missing, unfinished, of another kind, written by a newer version, or
    changed.
    """
    directory = Path(path)
    if not directory.is_dir():
        unfinished = directory.with_name(directory.name + ".partial")
        hint = f"; {unfinished.name} is unfinished: run its command again" if unfinished.exists() else ""
        raise UserError(f"{directory}: no such directory{hint}")
    manifest = _read_manifest(directory)
    if kind is not None and manifest["kind"] != kind:
        raise UserError(f"{directory}: holds a {manifest['kind']}, not a {kind}")
    if manifest["schema_version"] > SCHEMA_VERSION:
        raise UserError(
            f"{directory}: written by a newer version (schema {manifest['schema_version']}); upgrade conan-embed"
        )
    _verify(directory, manifest)
    return Artifact(dir=directory, manifest=manifest, manifest_hash=hash_file(directory / MANIFEST))


def is_artifact(path: str | Path) -> bool:
    """Whether `path` is a directory with a manifest (it is not verified)."""
    return (Path(path) / MANIFEST).is_file()


def describe_input(path: str | Path) -> dict[str, Any]:
    """What identifies an input: the manifest's hash of an artifact, the hashes of other files, the commit of a
    data set on the Hub (`hf://datasets/owner/name@commit`, or a file of it in the cache), the name of a model
    there.
    """
    local = Path(path)
    if pinned := hub.describe(path):
        return pinned
    if is_artifact(local):
        return {"path": str(path), "manifest_sha256": hash_file(local / MANIFEST)}
    if local.is_dir():
        return {"path": str(path), "files": _list_files(local)}
    if local.is_file():
        return {"path": str(path), "bytes": local.stat().st_size, "sha256": hash_file(local)}
    if str(path).startswith(HUB):
        return {"path": str(path)}
    raise UserError(f"{path}: no such file or directory")


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _enter(partial: Path, out: Path, header: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
    """Makes `partial` ready for this job: continued, emptied, or refused because it is another job's."""
    other = _job_of(partial)
    if other and not _same_job(partial, header) and not overwrite:
        raise UserError(
            f"{partial}: an unfinished run of another job ({_difference(other, header)}); finish it, or pass --overwrite to drop it"
        )
    if resume and _same_job(partial, header):
        log.info("%s: continuing an interrupted run", out)
        (partial / MANIFEST).unlink(missing_ok=True)
    else:
        for entry in partial.iterdir():
            if entry.name != _LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    _write_durably(partial / _JOB, _json(header))


def _is_done(out: Path, header: Mapping[str, Any], *, overwrite: bool) -> bool:
    """Whether `out` holds this job's artifact; raises `UserError` when it holds what may not be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not is_artifact(out):
        raise UserError(
            f"{out}: exists and is not one of our artifacts (no {MANIFEST}); choose another --out"
        )
    if overwrite:
        return False
    manifest = _read_manifest(out)
    if manifest["job_hash"] != header["job_hash"]:
        raise UserError(
            f"{out}: holds the result of another job ({_difference(manifest, header)}); choose another --out, or pass --overwrite"
        )
    _verify(out, manifest)
    return True


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Where two jobs differ, in a few words."""
    if (old["kind"], old["command"]) != (new["kind"], new["command"]):
        return f"{old['command']} made it"
    before, after = _flatten(old["config"]), _flatten(new["config"])
    keys = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    changed = [f"{key} {_short(before.get(key))} -> {_short(after.get(key))}" for key in keys]
    if not changed:
        changed = [
            f"input {entry['path']} has changed" for entry in new["inputs"] if entry not in old["inputs"]
        ]
    return ", ".join(changed[:3]) or "its inputs have changed"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _flatten(value: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    return {
        key: leaf
        for name, item in value.items()
        for key, leaf in _flatten(item, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def _verify(directory: Path, manifest: Mapping[str, Any]) -> None:
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


def _read_manifest(directory: Path) -> dict[str, Any]:
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


def _list_files(directory: Path) -> list[dict[str, Any]]:
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
        and (relative := path.relative_to(directory).as_posix()) not in (MANIFEST, _JOB, _LOCK)
    )


def _recover(out: Path) -> None:
    """Undoes a replacement that was killed between its two renames."""
    replaced = _replaced_path(out)
    if replaced.exists():
        if out.exists():
            shutil.rmtree(replaced)
        else:
            os.rename(replaced, out)


def _replaced_path(out: Path) -> Path:
    return out.with_name(out.name + ".replaced")


def _job_of(partial: Path) -> dict[str, Any] | None:
    """The job that `partial` belongs to; None where it was killed before it said so."""
    path = next((path for path in (partial / _JOB, partial / MANIFEST) if path.exists()), None)
    return json.loads(path.read_text(encoding="utf-8")) if path else None


def _same_job(partial: Path, header: Mapping[str, Any]) -> bool:
    job = _job_of(partial)
    return job is not None and job["job_hash"] == header["job_hash"]


def _has_begun(partial: Path) -> bool:
    return any(entry.name not in (_JOB, _LOCK, _WORK) for entry in partial.iterdir())


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _hash_json(value: object) -> str:
    return hashlib.sha256(_json(value)).hexdigest()


def _write_durably(path: Path, content: bytes) -> None:
    aside = path.with_name(path.name + ".tmp")
    with open(aside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(aside, path)


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _commit() -> str | None:
    """The commit of the checkout that this code runs from; None where it was installed as a package."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    result = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() if result.returncode == 0 else None
