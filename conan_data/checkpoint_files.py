"""When a checkpoint counts as whole, and which ones stay.

A machine that dies while it saves leaves half a file, and a disk may lose what was never flushed. So a
checkpoint is written beside its name, flushed, closed by `meta.json` with the hashes of the other files, and
renamed; one that does not match its hashes is as good as absent. Removing old checkpoints counts only whole
ones, so that the last one that can be loaded is never removed.
"""

import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from conan_data.checkpoint_names import CheckpointName, find, named, numbered
from conan_data.errors import UserError
from conan_data.files import hash_file, sync_directory
from conan_data.sealed import DamagedError, read_sealed, write_sealed

log = logging.getLogger(__name__)

FORMAT = 2
META = "meta.json"
WEIGHTS, STATE = "model", "state.json"


def seal(partial: Path, final: Path, *, step: int) -> Path:
    """Flushes the files in `partial`, writes their hashes, and renames it to `final`."""
    files = {path.name: _hash_flushed(path) for path in sorted(partial.iterdir())}
    write_sealed(partial / META, {"format": FORMAT, "step": step, "files": files})
    sync_directory(partial)
    if final.exists():
        shutil.rmtree(final)
    os.rename(partial, final)
    sync_directory(final.parent)
    return final


def verify(checkpoint: Path) -> dict[str, Any]:
    """The content of `meta.json`. Raises `UserError` when a file is missing, or is not what was written."""
    try:
        meta = read_sealed(checkpoint / META)
    except DamagedError:
        raise UserError(f"{checkpoint}: not a whole checkpoint ({META} is missing or damaged)") from None
    if meta.get("format") != FORMAT:
        raise UserError(
            f"{checkpoint}: written in format {meta.get('format')!r}, this version reads {FORMAT}"
        )
    for name, expected in meta["files"].items():
        path = checkpoint / name
        if not path.is_file():
            raise UserError(f"{checkpoint}: {name} is missing")
        if path.stat().st_size != expected["bytes"] or hash_file(path) != expected["sha256"]:
            raise UserError(f"{checkpoint}: {name} is damaged")
    return meta


def latest_checkpoint(directory: str | Path) -> Path | None:
    """The newest whole checkpoint in `directory`, None if there is none; damaged ones are passed over with a
    warning.
    """
    for checkpoint in _newest_first(Path(directory)):
        try:
            verify(checkpoint)
        except UserError as error:
            log.warning("passed over: %s", error)
            continue
        return checkpoint
    return None


def is_setting(name: str) -> bool:
    """Return whether a file of a checkpoint is one of the model's settings or tokenizer, not of the run's state."""
    return not name.endswith(".safetensors") and name not in (META, STATE)


def describe(name: CheckpointName) -> dict[str, Any]:
    """Return what identifies a checkpoint as a model, for a manifest: the hashes of its settings and weights. What else it
    holds differs between two runs of one job.
    """
    files = verify(find(name))["files"]
    wanted = (file for file in sorted(files) if is_setting(file) or file.startswith(WEIGHTS))
    return {
        "path": f"{name.run.name}@{name.step}",
        "files": [{"path": file, "rows": None, **files[file]} for file in wanted],
    }


def prune_checkpoints(directory: str | Path, *, keep: int, protected: int | None = None) -> None:
    """Remove what is older than the newest `keep` whole checkpoints, but for that of step `protected`, and what a killed
    run left half written.

    Every checkpoint that counts is read and compared with its hashes; where fewer than `keep` are whole,
    nothing is removed.
    """
    assert keep >= 1, "one checkpoint at least has to stay"
    for partial in Path(directory).glob("step-*.partial"):
        shutil.rmtree(partial)
    num_whole = 0
    for checkpoint in _newest_first(Path(directory)):
        if num_whole == keep:
            if protected is None or checkpoint.name != named(protected):
                shutil.rmtree(checkpoint)
        elif _is_whole(checkpoint):
            num_whole += 1


def _is_whole(checkpoint: Path) -> bool:
    try:
        verify(checkpoint)
    except UserError:
        return False
    return True


def _newest_first(directory: Path) -> list[Path]:
    steps = numbered(directory)
    return [steps[step] for step in sorted(steps, reverse=True)]


def _hash_flushed(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
