"""What the nodes of a cluster and the process that waits for them tell each other, in files that both see.

`tasks.json` says what to run; a node leaves `done-<rank>.json` or `failed-<rank>.json`. A node that says it is
done but whose file is not here writes somewhere else: the most common mistake on a cluster, and without this
check an empty corpus.
"""

import os
import shutil
import time
import uuid
from collections.abc import Collection
from pathlib import Path

from conan_data.corpus.execution.description import TaskSet, working_directory
from conan_data.corpus.execution.failure import Failure
from conan_data.corpus.execution.task import run_task
from conan_data.errors import UnfinishedError

DESCRIPTION = "tasks.json"
SECONDS_TO_APPEAR = 60.0
"""How long a network file system may take to show a file that another node wrote."""


def describe(work: TaskSet, logging_dir: Path) -> Path:
    """A new folder that holds the description of `work`; those of earlier runs go."""
    for old in logging_dir.glob(f"{work.slug}-*"):
        shutil.rmtree(old, ignore_errors=True)
    folder = (logging_dir / f"{work.slug}-{uuid.uuid4().hex[:8]}").resolve()
    folder.mkdir(parents=True)
    (folder / DESCRIPTION).write_text(work.to_json(), encoding="utf-8")
    return folder


def run_described(folder: Path, rank: int) -> None:
    """Runs one of the tasks that `folder` describes and leaves its result there. Raises nothing of the task."""
    try:
        text = (folder / DESCRIPTION).read_text(encoding="utf-8")
        os.chdir(working_directory(text))
        run_task(TaskSet.from_json(text), rank)
    except Exception as error:  # noqa: BLE001 (the outermost frame of a task on a node: it sends on whatever is left)
        _write(folder / f"failed-{rank:05d}.json", Failure.of(error).to_json())
    else:
        _write(folder / f"done-{rank:05d}.json", "{}")


def ended(folder: Path, rank: int) -> bool:
    """Whether a result of the task is here."""
    return any((folder / f"{kind}-{rank:05d}.json").exists() for kind in ("done", "failed"))


def failure_of(folder: Path, rank: int) -> Failure | None:
    """The failure of a task that has ended; None where it is done."""
    path = folder / f"failed-{rank:05d}.json"
    return Failure.from_json(path.read_text(encoding="utf-8")) if path.exists() else None


def wait_until_ended(folder: Path, ranks: Collection[int], *, seconds: float = SECONDS_TO_APPEAR) -> set[int]:
    """Those of the tasks whose result does not appear in time."""
    until = time.monotonic() + seconds
    while missing := {rank for rank in ranks if not ended(folder, rank)}:
        if time.monotonic() > until:
            break
        # Listing the folder makes a network file system look again.
        os.listdir(folder)
        time.sleep(0.2)
    return missing


def not_shared(folder: Path, where: str) -> UnfinishedError:
    """For a task that ran but left nothing here."""
    return UnfinishedError(
        f"executor: {where} ran, but left no result in {folder}; `out` must lie on a file system that all nodes share"
    )


def _write(path: Path, text: str) -> None:
    aside = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
