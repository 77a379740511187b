"""A run that trains on to more steps from where one of fewer steps ended, or was stopped (`--extend`).

Two jobs are one run at two lengths where nothing differs but how long it trains (`LENGTHS`). The longer one takes over
the newest checkpoint, and its job says what it went on from (`extended_from`): it is another job than a run that was
planned so long from the start, for its schedule was another one up to there. It is still the result of its config, so
asked for again, with or without `extend`, it is done. A finished run stays where it is until the longer one is published
in its place: what training needs of it is taken over into the partial directory, checkpoints as links.
"""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conan_data.checkpoint_files import latest_checkpoint, verify
from conan_data.checkpoint_names import FOLDER
from conan_data.errors import UserError
from conan_data.job import difference, with_history
from conan_data.manifest import Job, read_job
from conan_data.places import JOB, LOCK, MANIFEST, PARTIAL, WHOLE, beside

LENGTHS = ("steps", "epochs", "early_stop")
"""Fields of a config that say how long a run trains; the first two only grow."""
_LEFT = (MANIFEST, JOB, LOCK, WHOLE, "model", FOLDER)


def is_longer(new: Job, old: Job) -> bool:
    """Return whether `new` is the run of `old`, and trains longer."""
    before, after = _lengths(old), _lengths(new)
    return (
        _without_lengths(new) == _without_lengths(old)
        and before != after
        and all(after[name] >= before[name] for name in ("steps", "epochs") if name in before)
    )


def planned(out: Path, header: Job, *, extend: bool) -> tuple[Job, Path | None]:
    """Return the job that `header` is where `out` was, or is being extended, and with `extend` the folder of the shorter
    run that it goes on from, if that is still to be taken over.

    Raises `UserError` where `extend` finds no run of fewer steps, or one without a checkpoint.
    """
    found = [(folder, job) for folder in (beside(out, PARTIAL), out) if (job := _job_in(folder)) is not None]
    for folder, old in found:
        if _content(old) == _content(header):
            return with_history(header, old.get("extended_from", [])), None
        if extend and is_longer(header, old):
            newest = latest_checkpoint(folder / FOLDER)
            if newest is None:
                raise UserError(
                    f"extend: {folder} has no whole checkpoint to go on from; start over with --overwrite, or start another run "
                    f"from its model with --model {out}"
                )
            entry = {"step": verify(newest)["step"], **_lengths(old), "job_hash": old["job_hash"]}
            return with_history(header, [*old.get("extended_from", []), entry]), folder
    if extend:
        reason = "there is no run yet" if not found else _why_not(header, found[0][1])
        raise UserError(f"extend: {out} cannot be extended: {reason}")
    return header, None


def is_extended_from(header: Job, old: Job) -> bool:
    """Return whether `header` went on from the run of `old`, whose result it replaces in the end."""
    return old["job_hash"] in [entry["job_hash"] for entry in header.get("extended_from", ())]


def take_over(header: Job, out: Path, partial: Path) -> None:
    """Put what training needs of the finished run in `out` into `partial`, unless it is there already.

    Raises `UserError` where the run that `header` went on from is gone.
    """
    history = header.get("extended_from")
    newest = latest_checkpoint(partial / FOLDER)
    if not history or (newest is not None and verify(newest)["step"] >= history[-1]["step"]):
        return
    old = _job_in(out)
    if old is None or old["job_hash"] != history[-1]["job_hash"]:
        raise UserError(
            f"{partial}: the checkpoint of step {history[-1]['step']} that it goes on from is gone or damaged; start over with "
            "--overwrite"
        )
    for entry in partial.iterdir():
        if entry.name not in (JOB, LOCK):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for entry in sorted(out.iterdir()):
        if entry.name not in _LEFT:
            target = partial / entry.name
            shutil.copytree(entry, target) if entry.is_dir() else shutil.copyfile(entry, target)
    # Last: who is killed before this is done begins again.
    shutil.copytree(out / FOLDER, partial / FOLDER, copy_function=_link)


def _link(source: str, target: str) -> None:
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)


def _job_in(folder: Path) -> Job | None:
    """The job of a folder, finished or not; None where there is none, or nobody can tell."""
    for name in (JOB, MANIFEST):
        with contextlib.suppress(UserError):
            if (folder / name).is_file():
                return read_job(folder / name)
    return None


def _content(job: Job) -> tuple[Any, ...]:
    return job["kind"], job["command"], job["config"], job["inputs"]


def _without_lengths(job: Job) -> tuple[Any, ...]:
    config = {name: value for name, value in job["config"].items() if name not in LENGTHS}
    return job["kind"], job["command"], config, job["inputs"]


def _lengths(job: Job) -> Mapping[str, Any]:
    return {name: job["config"][name] for name in LENGTHS if name in job["config"]}


def _why_not(new: Job, old: Job) -> str:
    if _without_lengths(new) == _without_lengths(old):
        return f"it has to train longer than before ({difference(old, new)})"
    config = {**old["config"], **_lengths(new)}
    return f"only {', '.join(LENGTHS[:-1])} and {LENGTHS[-1]} may change ({difference({**old, 'config': config}, new)})"
