"""Checkpoints of a training as models: `runs/embedder@1500` is the run `runs/embedder` after 1,500 steps.

The rule of the name: a folder that is called so itself comes first; else `RUN@STEP` is a checkpoint where RUN is a
training on this machine, finished or not, and STEP a whole number; whatever else has an `@` is a name on the Hub with
a revision (`owner/name@revision`).
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from conan_data.errors import UserError

FOLDER = "checkpoints"
"""Folder of a run that holds its checkpoints. No manifest lists it, for checkpoints hold times; each is whole or not by
its own hashes (see `checkpoint_files`).
"""
_NAME = re.compile(r"(.+)@(\d{1,18})")
_CHECKPOINT = re.compile(r"step-(\d{8,})")
_MARKS = {"": "manifest.json", ".partial": "job.json"}
"""Endings of the folders in which a run lies, the finished one first, and the file that makes it ours."""


class CheckpointName(NamedTuple):
    """A run, as its `out` was named, and a number of steps."""

    run: Path
    step: int


def parse(text: str | Path) -> CheckpointName | None:
    """Return the checkpoint that `text` names, None where it names none (see the rule above)."""
    match = _NAME.fullmatch(str(text))
    if match is None or os.path.exists(text):
        return None
    run = Path(match[1])
    return CheckpointName(run, int(match[2])) if run.name and any(_folders(run)) else None


def find(name: CheckpointName) -> Path:
    """Return the folder of a checkpoint, that of the finished run before that of one that is being extended.

    Raises `UserError` naming the steps that exist where there is none.
    """
    if problem := missing(name):
        raise UserError(f"{name.run}@{name.step}: {problem}")
    return _there(name.run)[name.step]


def missing(name: CheckpointName) -> str:
    """Return what is wrong where a run has no such checkpoint, with the steps that exist; nothing where it has."""
    there = sorted(_there(name.run))
    if name.step in there:
        return ""
    steps = f"it has those of {', '.join(map(str, there))}" if there else "it has none at all"
    return f"the run has no checkpoint of step {name.step}, {steps} (keep_checkpoints says how many stay)"


def numbered(directory: Path) -> dict[int, Path]:
    """Return the checkpoints in a folder by their steps, whole or not."""
    if not directory.is_dir():
        return {}
    return {
        int(match[1]): path
        for path in directory.iterdir()
        if (match := _CHECKPOINT.fullmatch(path.name)) and path.is_dir()
    }


def named(step: int) -> str:
    """Return the name of the folder of a checkpoint after `step` steps; names of one length sort as their steps."""
    return f"step-{step:08d}"


def run_of(text: str) -> str:
    """Return the run that `text` names a checkpoint of; any other text as it is."""
    name = parse(text)
    return text if name is None else str(name.run)


def _there(run: Path) -> dict[int, Path]:
    """The checkpoints of a run by their steps."""
    found: dict[int, Path] = {}
    for folder in reversed(_folders(run)):
        found |= numbered(folder / FOLDER)
    return found


def _folders(run: Path) -> list[Path]:
    """Where a run lies: finished, and unfinished or while it is extended."""
    places = {run.with_name(run.name + ending): mark for ending, mark in _MARKS.items()}
    return [folder for folder, mark in places.items() if os.path.isfile(folder / mark)]
