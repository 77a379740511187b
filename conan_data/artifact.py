"""Every output directory of this project is published here, and every input directory is opened here.

Without one rule for all stages a killed run leaves a folder that looks finished, a rerun mixes two configs,
and a model is trained on half a corpus. The invariant: a directory at its final name is whole, and says what
made it. It is written beside that name as `<out>.partial/`, its files are hashed into `manifest.json`, and
one rename publishes it. A reader refuses a directory without a manifest, or whose files are not exactly those
that the manifest lists.

Of a finished run of the same job (see `job`) nothing is done again; an interrupted one starts over, or continues
in its partial directory where the stage can (`resume=True`). Not checked: that a directory stays unchanged
while it is read.
"""

import contextlib
import dataclasses
import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import filelock

from conan_data import extension
from conan_data.config import StageConfig, identity
from conan_data.errors import OccupiedError, UnfinishedError, UserError
from conan_data.files import hash_file, sync_directory
from conan_data.inputs import named_sources
from conan_data.job import describe_input, describe_job, difference
from conan_data.manifest import (
    Job,
    Manifest,
    Rows,
    RowsRecord,
    describe,
    is_artifact,
    is_listed,
    list_files,
    read_job,
    read_manifest,
    verify,
)
from conan_data.places import JOB, LOCK, MANIFEST, PARTIAL, REPLACED, WHOLE, beside, check
from conan_data.public_names import SAMPLE, published_json, published_value
from conan_data.sealed import write_sealed
from conan_data.shortage import shortage

__all__ = [
    "MANIFEST",
    "Artifact",
    "Build",
    "Planned",
    "Rows",
    "building",
    "describe",
    "describe_input",
    "hash_file",
    "is_artifact",
    "is_done_without_inputs",
    "open_artifact",
    "planning",
    "sync_directory",
]

log = logging.getLogger(__name__)

_WORK = "work"


@dataclass(frozen=True)
class Artifact:
    """A directory that was opened and verified."""

    dir: Path
    manifest: Manifest
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
    header: Job
    named: list[str] = dataclasses.field(default_factory=list)
    """The inputs as the user named them."""

    @property
    def work(self) -> Path:
        path = self.dir / _WORK
        path.mkdir(exist_ok=True)
        return path

    def publish(
        self,
        *,
        rows: Rows,
        extra: Mapping[str, Any] | None = None,
        card: Callable[[Manifest], Mapping[str, str]] | None = None,
    ) -> Path:
        """Write the manifest and move the directory to its final name; an artifact that is being replaced is removed
        last. `card` gives text files by path, made of the manifest that does not list them yet.
        """
        shutil.rmtree(self.dir / _WORK, ignore_errors=True)
        row_record = {"read": rows.read, "kept": rows.kept, "dropped": dict(sorted(rows.dropped.items()))}
        manifest: Manifest = {
            **self.header,
            "rows": cast(RowsRecord, row_record),
            "files": list_files(self.dir, is_listed),
            "extra": published_json(dict(extra or {}), self.named),
        }
        if card is not None:
            self._add(manifest, card(manifest))
        write_sealed(self.dir / MANIFEST, manifest)
        # Last, so that the directory of a run that is killed here still says whose it is.
        (self.dir / JOB).unlink()
        (self.dir / WHOLE).unlink(missing_ok=True)
        (self.dir / LOCK).unlink(missing_ok=True)
        target, replaced = beside(self.out, ""), beside(self.out, REPLACED)
        if is_artifact(target):
            os.rename(target, replaced)
        os.rename(self.dir, target)
        sync_directory(target.parent)
        _remove(replaced)
        self.done = True
        log.info("%s: %s", self.out, describe(rows))
        return self.out

    def _add(self, manifest: Manifest, texts: Mapping[str, str]) -> None:
        """Write text files by their paths, and list them."""
        for path, text in texts.items():
            (self.dir / path).write_text(text, encoding="utf-8")
        others = [entry for entry in manifest["files"] if entry["path"] not in texts]
        added = list_files(self.dir, lambda path: path in texts)
        manifest["files"] = sorted([*others, *added], key=lambda entry: entry["path"])


class Planned(Exception):  # noqa: N818 (no error: it ends a stage that is only asked what it would do)
    """What a job would do, raised by `building` inside `planning`: `state` is "done", "extend", "go on" or "run"."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


@contextmanager
def planning() -> Iterator[None]:
    """Within the block `building` writes nothing and raises `Planned`, or the `UserError` that it raises otherwise."""
    token = _IS_PLANNING.set(True)
    try:
        yield
    finally:
        _IS_PLANNING.reset(token)


_IS_PLANNING: ContextVar[bool] = ContextVar("is_planning", default=False)


def is_done_without_inputs(config: StageConfig, *, command: str) -> bool:
    """Return whether `config.out` is the artifact of this config, although inputs that it names are gone.

    Inputs that are still there are compared by content with those that the manifest lists. Raises `UserError` for an
    artifact that has changed since it was written.
    """
    if config.overwrite or not is_artifact(config.out):
        return False
    manifest = read_manifest(Path(config.out))
    as_named = (
        published_value,
        lambda text: published_value(text) if Path(text).exists() else Path(text).name,
    )
    if manifest["command"].split()[-1] != command or manifest["config"] not in (
        identity(config, published) for published in as_named
    ):
        return False
    known = set(_hashes(manifest["inputs"]))
    present = [path for path in named_sources(config) if path != SAMPLE and Path(path).exists()]
    if not all(set(_hashes(describe_input(path))) <= known for path in present):
        return False
    verify(Path(config.out), manifest)
    return True


def _hashes(described: Any) -> Iterator[str]:
    """The hashes of manifests and files in descriptions of inputs."""
    if isinstance(described, Mapping):
        yield from (described[name] for name in ("manifest_sha256", "sha256") if name in described)
        yield from _hashes(described.get("files", ()))
    else:
        for entry in described:
            yield from _hashes(entry)


@contextmanager
def building(
    config: StageConfig,
    *,
    kind: str,
    command: str,
    inputs: Iterable[str | Path],
    resume: bool = False,
    nested: bool = False,
) -> Iterator[Build]:
    """Opens the partial directory of a job for writing; `Build.done` says that there is nothing to do.

    Raises `UserError` when `config.out` holds something else (another config's artifact without `overwrite`,
    or files that are no artifact), cannot be written or replaced, or is, holds or lies in an input or a cache;
    when another process is building it, or when an input does not exist; `UnfinishedError` when the block ends for
    want of room or memory. Whatever leaves the block by an exception leaves nothing behind, except the partial
    directory of a stage that can resume and has begun. `nested` is for an artifact inside the partial directory of
    another one.
    """
    out = Path(config.out)
    inputs = list(inputs)
    check(config, inputs=inputs, nested=nested)
    header = describe_job(config, kind=kind, command=command, inputs=inputs)
    shorter: Path | None = None
    if resume and not config.overwrite:
        header, shorter = extension.planned(out, header, extend=getattr(config, "extend", False))
    if _IS_PLANNING.get():
        raise Planned("extend" if shorter else _state_of(out, header, overwrite=config.overwrite))
    _recover(out)
    if _is_done(out, header, overwrite=config.overwrite):
        log.info("%s: done already (%s)", out, command)
        yield Build(out=out, dir=out, done=True, header=header)
        return
    partial = partial_path(out)
    created = not partial.exists()
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"out: {partial} cannot be made ({error.filename}: {os.strerror(error.errno or 0)}); choose another folder"
        ) from error
    lock = filelock.FileLock(partial / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(f"{out}: another process is building it right now") from None
    try:
        try:
            _require_replaceable(out)
            if shorter == partial:
                write_sealed(partial / JOB, header)
            _enter(partial, out, header, resume=resume and not created, overwrite=config.overwrite)
            build = Build(out=out, dir=partial, done=False, header=header, named=named_sources(config))
            yield build
            assert build.done, f"{command} ended without publishing {out}"
        except BaseException as error:
            if (created or _same_job(partial, header)) and not (resume and _has_begun(partial)):
                with contextlib.suppress(OSError):
                    _remove(partial)
            if not isinstance(error, UserError) and (lack := shortage(error)):
                raise UnfinishedError(f"{out}: {lack}") from error
            raise
    finally:
        lock.release()


def _state_of(out: Path, header: Job, *, overwrite: bool) -> str:
    """What `building` would do, without doing it."""
    if _is_done(out, header, overwrite=overwrite):
        return "done"
    partial = partial_path(out)
    job = _job_of(partial) if partial.exists() else None
    return "go on" if _is_own(partial, job, header, overwrite=overwrite) else "run"


def _is_own(partial: Path, job: Job | None, header: Job, *, overwrite: bool) -> bool:
    """Return whether `job`, that of `partial`, is this one. Raises `OccupiedError` for another one without `overwrite`."""
    if job is None:
        return False
    is_same = job["job_hash"] == header["job_hash"]
    if not is_same and not overwrite:
        raise _occupied(
            f"{partial}: an unfinished run", job, header, "finish it, or pass --overwrite to drop it"
        )
    return is_same


def partial_path(out: Path) -> Path:
    """Where an artifact is built before it is published."""
    return beside(out, PARTIAL)


def open_artifact(path: str | Path, *, kind: str | None = None) -> Artifact:
    """The artifact at `path`, after its files were compared with its manifest (names, sizes, SHA-256).

    Raises `UserError` when it is missing, unfinished, of another kind, written by a newer version, or
    changed.
    """
    directory = Path(path)
    if not directory.is_dir():
        unfinished = partial_path(directory)
        hint = f"; {unfinished.name} is unfinished: run its command again" if unfinished.exists() else ""
        raise UserError(f"{directory}: no such directory{hint}")
    manifest = read_manifest(directory)
    if kind is not None and manifest["kind"] != kind:
        raise UserError(f"{directory}: holds a {manifest['kind']}, not a {kind}")
    verify(directory, manifest)
    return Artifact(dir=directory, manifest=manifest, manifest_hash=hash_file(directory / MANIFEST))


def _enter(partial: Path, out: Path, header: Job, *, resume: bool, overwrite: bool) -> None:
    """Makes `partial` ready for this job: continued, emptied, or refused because it is another job's, or nobody can
    tell whose it is.
    """
    try:
        other = _job_of(partial)
    except UserError as error:
        if not overwrite:
            raise UserError(
                f"{error}; nobody can tell which job began here: pass --overwrite to start over"
            ) from error
        other = None
    if not any((partial / name).exists() for name in (JOB, MANIFEST)):
        _require_empty(partial, out)
    is_same = _is_own(partial, other, header, overwrite=overwrite)
    if resume and is_same:
        log.info("%s: continuing an interrupted run", out)
        (partial / MANIFEST).unlink(missing_ok=True)
        extension.take_over(header, out, partial)
    else:
        _empty(partial)
        for name in (MANIFEST, WHOLE, JOB):
            (partial / name).unlink(missing_ok=True)
    write_sealed(partial / JOB, header)
    if not is_same:
        extension.take_over(header, out, partial)


def _is_done(out: Path, header: Job, *, overwrite: bool) -> bool:
    """Whether `out` holds this job's artifact; raises `UserError` when it holds what may not be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not is_artifact(out):
        raise UserError(
            f"{out}: exists and is not one of our artifacts (no {MANIFEST}); choose another --out"
        )
    if overwrite:
        return False
    manifest = read_manifest(out)
    if extension.is_extended_from(header, manifest):
        return False
    if manifest["job_hash"] != header["job_hash"]:
        raise _occupied(
            f"{out}: holds the result", manifest, header, "choose another --out, or pass --overwrite"
        )
    verify(out, manifest)
    return True


def _occupied(what: str, old: Job, new: Job, advice: str) -> OccupiedError:
    """`what` lies in the way of another job; `advice` is what to do."""
    message = f"{what} of another job ({difference(old, new)}); "
    if extension.is_longer(new, old):
        return OccupiedError(f"{message}pass --extend to train on from it, or {advice}", remedy="--extend")
    return OccupiedError(message + advice)


def _recover(out: Path) -> None:
    """Undo a replacement that was killed between its two renames."""
    replaced = beside(out, REPLACED)
    if replaced.is_dir() and not is_artifact(replaced):
        _require_empty(replaced, out)
    if out.exists():
        _remove(replaced)
    elif os.path.lexists(replaced):
        os.rename(replaced, beside(out, ""))


def _require_empty(folder: Path, out: Path) -> None:
    """Raise `UserError` for files in a folder whose name is ours, but that holds no mark of ours."""
    strange = {entry.name for entry in folder.iterdir()} - {LOCK, f"{JOB}.tmp"}
    if strange:
        raise UserError(
            f"{folder}: is in the way of --out {out}, and none of our artifacts (it holds {min(strange)}); move it away"
        )


def _remove(path: Path) -> None:
    """Remove one of our folders, or a link in its place, if there is one."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        _empty(path)
        shutil.rmtree(path)


def _empty(folder: Path) -> None:
    """Remove all but the marks of an artifact, which go last: whoever is killed here leaves a folder that is known
    to be ours, and no folder without a mark is ever emptied.
    """
    for entry in folder.iterdir():
        if entry.name not in (MANIFEST, JOB, LOCK):
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _require_replaceable(out: Path) -> None:
    """Raise `UserError` unless what lies at `out` can be renamed, which publishing needs to do at the end. It is
    tried out, because a mount point or a layer of a container shows in no other way.
    """
    target, replaced = beside(out, ""), beside(out, REPLACED)
    if not target.exists():
        return
    try:
        os.rename(target, replaced)
        os.rename(replaced, target)
    except OSError as error:
        hint = "a mount point; name a folder in it" if error.errno == errno.EBUSY else "choose another folder"
        raise UserError(f"out: {out} cannot be replaced ({os.strerror(error.errno or 0)}): {hint}") from error


def _job_of(partial: Path) -> Job | None:
    """The job that `partial` belongs to; None where it was killed before it said so. Raises `UserError` where what it
    said is damaged.
    """
    path = next((path for path in (partial / JOB, partial / MANIFEST) if path.exists()), None)
    return read_job(path) if path else None


def _same_job(partial: Path, header: Job) -> bool:
    try:
        job = _job_of(partial)
    except UserError:
        return False
    return job is not None and job["job_hash"] == header["job_hash"]


def _has_begun(partial: Path) -> bool:
    return any(entry.name not in (JOB, LOCK, _WORK) for entry in partial.iterdir())
