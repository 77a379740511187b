"""The weights of a run for those that mine beside it, written while training goes on.

A checkpoint would do, but it holds three times as much, and the trainer waits until it is on the disk. A snapshot is
copied in memory between two steps and written by a thread; that copy is all that training waits for. A second one
is not begun before the first is written: it is left out, for a late one is worth more than a queue.

Under FSDP2 each process writes the part that it holds and nobody waits for the others: every file has its hash
beside it, written after it, and a snapshot is whole once all are there. The file is safetensors, written by hand
because the library holds the interpreter's lock while it writes, and the trainer with it.
"""

import json
import logging
import re
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch.distributed.tensor import DTensor

from conan_data.errors import UserError
from conan_data.files import hash_file, write_durably, written_aside
from conan_data.sealed import DamagedError, read_sealed, write_sealed
from conan_train.checkpoint.shards import Parts, shard_name
from conan_train.checkpoint.state import is_sharded, load_weights, model_tensors

log = logging.getLogger(__name__)

STEM, STATE = "model", "state.json"
_NAME = re.compile(r"step-(\d{8,})")
_KEPT = 2
_TYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}


@dataclass(frozen=True)
class Snapshot:
    """Weights after `step` steps."""

    folder: Path
    step: int


class SnapshotWriter:
    """Of `model`, whose names are those of its checkpoints, into folders below `weights`."""

    def __init__(self, model: torch.nn.Module, weights: Path, *, rank: int, world_size: int) -> None:
        self.model, self.weights = model, weights
        self.num_parts = world_size if is_sharded(model) else 1
        self.rank = rank
        self._thread: threading.Thread | None = None

    def write(self, step: int) -> float:
        """Begins to write; returns the seconds that the caller was held up."""
        start = time.monotonic()
        if self.rank >= self.num_parts:
            return 0.0
        if self._thread is not None and self._thread.is_alive():
            log.warning("step %d: no weights for mining, for those before are still being written", step)
            return time.monotonic() - start
        tensors = {
            name: (tensor.to_local() if isinstance(tensor, DTensor) else tensor).detach().to("cpu", copy=True)
            for name, tensor in model_tensors(self.model).items()
            if self.rank == 0 or isinstance(tensor, DTensor)
        }
        self._thread = threading.Thread(
            target=self._write, args=(step, tensors), name="snapshot", daemon=True
        )
        self._thread.start()
        return time.monotonic() - start

    def close(self) -> None:
        """Waits for what is being written."""
        if self._thread is not None:
            self._thread.join()

    def _write(self, step: int, tensors: dict[str, torch.Tensor]) -> None:
        folder = self.weights / f"step-{step:08d}"
        name = shard_name(STEM, self.rank, self.num_parts)
        try:
            folder.mkdir(exist_ok=True)
            write_tensors(folder / name, tensors)
            write_durably(folder / f"{name}.sha256", hash_file(folder / name).encode())
            if self.rank == 0:
                write_sealed(folder / STATE, {"step": step, "parts": self.num_parts})
                for old in snapshot_folders(self.weights)[:-_KEPT]:
                    shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            log.warning("step %d: no weights for mining: %s (%s)", step, error.strerror, folder)
            if self.num_parts == 1:
                shutil.rmtree(folder, ignore_errors=True)


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """A safetensors file of CPU tensors."""
    header, start = {}, 0
    parts = [tensor.contiguous().reshape(-1).view(torch.uint8).numpy() for tensor in tensors.values()]
    for (name, tensor), part in zip(tensors.items(), parts, strict=True):
        header[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, start + part.nbytes],
        }
        start += part.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with written_aside(path) as aside, open(aside, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for part in parts:
            file.write(part.data)


def snapshot_folders(weights: Path) -> list[Path]:
    """All, the newest last, whole or not."""
    try:
        return sorted(path for path in weights.iterdir() if _NAME.fullmatch(path.name))
    except OSError:
        return []


def drop_snapshots_after(weights: Path, step: int) -> None:
    """What a run that goes on from an earlier checkpoint will write again."""
    for folder in snapshot_folders(weights):
        if int(folder.name.removeprefix("step-")) > step:
            shutil.rmtree(folder, ignore_errors=True)


def newest_snapshot(weights: Path) -> Snapshot | None:
    """The newest that is whole; its bytes are compared when it is loaded."""
    for folder in reversed(snapshot_folders(weights)):
        try:
            state = read_sealed(folder / STATE)
            names = [shard_name(STEM, rank, state["parts"]) for rank in range(state["parts"])]
            if all((folder / f"{name}.sha256").is_file() for name in names):
                return Snapshot(folder, state["step"])
        except (DamagedError, OSError):
            continue
    return None


def snapshot_of(weights: Path, step: int) -> Snapshot | None:
    """That of a step; None where it is gone."""
    folder = weights / f"step-{step:08d}"
    return Snapshot(folder, step) if (folder / STATE).is_file() else None


def load_snapshot(snapshot: Snapshot, model: torch.nn.Module) -> None:
    """Puts the weights into `model`, whole. Raises `UserError` where it is damaged, or was deleted meanwhile: take
    another one then, for `model` may hold half of it.
    """
    try:
        state = read_sealed(snapshot.folder / STATE)
        for rank in range(state["parts"]):
            name = shard_name(STEM, rank, state["parts"])
            told = (snapshot.folder / f"{name}.sha256").read_text(encoding="utf-8")
            if hash_file(snapshot.folder / name) != told:
                raise UserError(f"{snapshot.folder}: {name} is damaged")
        parts = Parts(snapshot.folder, STEM, world_size=state["parts"])
    except (DamagedError, OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{snapshot.folder}: cannot be read, or is gone ({error})") from error
    load_weights(model, parts)
