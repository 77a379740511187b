"""Where a job reads and writes, and where it must not write.

A published artifact replaces the folder `out`, and while it is made it lies beside `out` under names of its own
(`RESERVED`). An `out` that is, holds or lies in what the job reads would therefore destroy the input, change what
the next run reads, or damage another artifact. Paths are compared as the file system sees them, by the device and
inode of every folder on the way, so that neither links nor bind mounts nor letter case hide that two are one.
"""

import errno
import glob
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from conan_data import hub_names
from conan_data.checkpoint_names import run_of
from conan_data.config import StageConfig
from conan_data.errors import UserError
from conan_data.fields import FieldError
from conan_data.inputs import Cache, marked_texts

MANIFEST = "manifest.json"
JOB, LOCK, WHOLE = "job.json", ".lock", "whole.json"
"""What lies beside the files while an artifact is made, and is no part of it."""
PARTIAL, REPLACED, MINING = ".partial", ".replaced", ".mining"
RESERVED = (PARTIAL, REPLACED, MINING)
"""Endings of the folders beside `out`: the unfinished artifact, the one that is being replaced, and the mailbox of
a training and its mining services.
"""
_LONGEST_PART = 255
_OWN_FOLDER = "must be a folder of its own, such as runs/first, for it is replaced as a whole"


class Place(NamedTuple):
    """A path that a job reads, or a cache, with the names that lead to its field."""

    field: tuple[str, ...]
    path: str
    is_cache: bool = False


def beside(out: str | Path, ending: str) -> Path:
    """Return the path of `out` with `ending` at its name. A link as `out` is followed first, because a rename
    replaces a folder but not what a link points to.
    """
    out = Path(out)
    if out.is_symlink() or out.name in ("", ".."):
        out = Path(os.path.realpath(out))
    return out.with_name(out.name + ending)


def check(config: Any, *, inputs: Iterable[str | Path] = (), nested: bool = False) -> None:
    """Raise `FieldError` for an `out` that cannot be written, or would damage what the job reads or shares.

    `inputs` are paths beside those that the fields of `config` name, such as the files that a glob has given.
    `nested` allows an `out` inside an artifact that this process is making.
    """
    if not isinstance(config, StageConfig):
        return
    _check_out(config.out)
    if not nested:
        _check_outside_artifacts(("out",), config.out)
    tree = _Tree()
    for place in (*places_of(config), *(Place(("inputs",), run_of(str(path))) for path in inputs)):
        if place.is_cache:
            _check_outside_artifacts(place.field, Path(place.path))
        _check_apart(config.out, place, tree)


def check_apart(outs: Iterable[tuple[str, Path]]) -> None:
    """Raise `UserError` where two stages, given as (name, out), publish to one folder, or one inside another."""
    tree = _Tree()
    seen: list[tuple[str, Path]] = []
    for name, out in outs:
        for other_name, other in seen:
            if relation := tree.relation(out, other):
                raise UserError(
                    f"{name}: out: {out} {relation} out of {other_name} ({other}); give each stage its own folder"
                )
        seen.append((name, out))


def places_of(config: Any) -> Iterator[Place]:
    """Yield the inputs and caches that `config` and its parts name."""
    for field, mark, text in marked_texts(config):
        path = text.removeprefix(mark.prefix)
        if path and text.startswith(mark.prefix) and not hub_names.is_name(path):
            yield Place(field, run_of(path), isinstance(mark, Cache))


def _check_out(out: Path) -> None:
    """The parts of the rule that need no other path."""
    real = os.path.realpath(out)
    if str(out).startswith("~"):
        raise _refuse(out, "begins with the home of an unknown user")
    if os.path.basename(real) == "":
        raise _refuse(out, _OWN_FOLDER)
    if Path(os.path.realpath(os.getcwd())).is_relative_to(real):
        raise _refuse(out, f"is the current folder, or holds it; {_OWN_FOLDER}")
    if os.path.islink(real):
        raise _refuse(out, "is a symbolic link that leads to itself")
    if any(len(os.fsencode(part)) > _LONGEST_PART for part in Path(real).parts):
        raise _refuse(out, os.strerror(errno.ENAMETOOLONG))
    for name in (out.name, os.path.basename(real)):
        if name.endswith(RESERVED):
            raise _refuse(
                out, f"names in {', '.join(RESERVED)} belong to unfinished artifacts; choose another"
            )
    for ending in RESERVED:
        own = beside(out, ending)
        try:
            os.lstat(own)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _refuse(own, f"cannot be made ({os.strerror(error.errno or 0)})") from error


def _check_outside_artifacts(field: tuple[str, ...], path: Path) -> None:
    """A file more and an artifact no longer is what its manifest says."""
    for folder in Path(os.path.realpath(path)).parents:
        if _is_ours(folder):
            raise FieldError(
                field,
                f"{path} lies inside the artifact {folder}, which it would damage; choose a folder outside",
            )


def _refuse(out: Path, problem: str) -> FieldError:
    return FieldError(("out",), f"{str(out)!r} {problem}")


def _is_ours(folder: Path) -> bool:
    """Whether `folder` is an artifact, or one in the making; a manifest.json of another tool is no mark of it."""
    for name in (MANIFEST, JOB):
        try:
            if b'"job_hash"' in (folder / name).read_bytes():
                return True
        except OSError:
            continue
    return False


def _check_apart(out: Path, place: Place, tree: "_Tree") -> None:
    shown = f"{'.'.join(place.field)} ({place.path})"
    if not os.path.lexists(place.path):
        if glob.has_magic(place.path) and _reaches_into(place.path, os.path.realpath(out)):
            raise _refuse(out, f"would hold files that {shown} matches; choose a folder outside")
        if not place.is_cache:
            return
    if relation := tree.relation(out, place.path):
        raise _refuse(
            out, f"{relation} {shown}, and out is replaced as a whole; choose a folder apart from it"
        )
    for ending in RESERVED:
        own = beside(out, ending)
        if tree.relation(own, place.path) in ("is the same as", "holds"):
            raise _refuse(own, f"is where {out} is made, and holds {shown}; choose another folder")


def _reaches_into(pattern: str, out: str) -> bool:
    """Whether a glob may match something below the folder `out`."""
    parts = Path(os.path.realpath(pattern)).parts
    places = Path(out).parts
    for number, part in enumerate(parts):
        if part == "**" or number == len(places):
            return True
        if not fnmatchcase(places[number], part):
            return False
    return False


class _Tree:
    """Answers how two paths lie to each other; asks for each folder on the way once."""

    def __init__(self) -> None:
        self._keys: dict[str, object] = {}

    def relation(self, one: str | Path, other: str | Path) -> str:
        """Return "is the same as", "lies in" or "holds", or "" where neither path is above the other."""
        above_one, above_other = self._way(one), self._way(other)
        if above_one[0] == above_other[0]:
            return "is the same as"
        if above_other[0] in above_one:
            return "lies in"
        return "holds" if above_one[0] in above_other else ""

    def _way(self, path: str | Path) -> list[object]:
        """What identifies `path` and each folder above it: device and inode, or the name of what is not there."""
        real = Path(os.path.realpath(path))
        return [self._key(str(place)) for place in (real, *real.parents)]

    def _key(self, path: str) -> object:
        if path not in self._keys:
            try:
                found = os.stat(path)
                self._keys[path] = (found.st_dev, found.st_ino)
            except OSError:
                self._keys[path] = path
        return self._keys[path]
