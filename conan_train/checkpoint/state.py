"""Training state that survives kill -9 and continues bit by bit, without pickle.

A run that resumes with anything reset (a moment, a generator, the place in the data) is another run, and no
curve shows it. So a checkpoint holds all that the next step depends on: weights, optimizer state by parameter
name, every random number generator, and what the caller adds (`extra`, `arrays`). Tensors are safetensors,
the rest is JSON. Which checkpoint is whole is decided in `files`.

In a distributed run one process saves, for unsharded parameters; generators of the others are theirs to
restore.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, load_model, save_file, save_model

from conan_data.errors import UserError
from conan_train.checkpoint.files import checkpoint_name, latest_checkpoint, prune_checkpoints, seal, verify
from conan_train.checkpoint.generators import generator_states, restore_generators
from conan_train.checkpoint.optimizer import optimizer_state, restore_optimizer

__all__ = ["Loaded", "latest_checkpoint", "load_checkpoint", "prune_checkpoints", "save_checkpoint"]

MODEL, OPTIMIZER, GENERATORS, ARRAYS, STATE = (
    "model.safetensors",
    "optimizer.safetensors",
    "generators.safetensors",
    "arrays.safetensors",
    "state.json",
)


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint holds beside the state that was put into model, optimizer and generators."""

    step: int
    extra: dict[str, Any]
    arrays: dict[str, torch.Tensor]


def save_checkpoint(
    directory: str | Path,
    *,
    step: int,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    extra: Mapping[str, Any] | None = None,
    arrays: Mapping[str, torch.Tensor] | None = None,
    keep: int | None = None,
) -> Path:
    """Writes `<directory>/step-<step>/` and returns it; with `keep`, all but the newest `keep` whole ones are
    removed after that.

    `directory` is the folder of the checkpoints; `step` is the number of steps done; `model` is the bare
    module, not its distributed wrapper; `extra` is JSON. A parameter that is shared is written once.
    """
    directory = Path(directory)
    partial = directory / f"{checkpoint_name(step)}.partial"
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    optimizer_json, optimizer_tensors = optimizer_state(model, optimizer)
    generator_json, generator_tensors = generator_states()
    state = {"optimizer": optimizer_json, "generators": generator_json, "extra": dict(extra or {})}
    save_model(model, str(partial / MODEL))
    save_file(optimizer_tensors, partial / OPTIMIZER)
    save_file(generator_tensors, partial / GENERATORS)
    save_file({name: array.detach().contiguous() for name, array in (arrays or {}).items()}, partial / ARRAYS)
    (partial / STATE).write_text(json.dumps(state), encoding="utf-8")
    sealed = seal(partial, directory / checkpoint_name(step), step=step)
    if keep is not None:
        prune_checkpoints(directory, keep=keep)
    return sealed


def load_checkpoint(
    path: str | Path, *, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> Loaded:
    """Puts the state at `path` into `model`, `optimizer` and the generators (without `optimizer`: into
    `model` alone).

    Raises `UserError` when the checkpoint is damaged, or is one of another model or optimizer.
    """
    path = Path(path)
    meta = verify(path)
    state = json.loads((path / STATE).read_text(encoding="utf-8"))
    try:
        load_model(model, path / MODEL)
    except RuntimeError as error:
        raise UserError(
            f"{path}: holds the weights of another model ({' '.join(str(error).split())[:200]})"
        ) from error
    if optimizer is not None:
        try:
            restore_optimizer(model, optimizer, state["optimizer"], _read(path / OPTIMIZER))
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        restore_generators(state["generators"], _read(path / GENERATORS))
    return Loaded(step=meta["step"], extra=state["extra"], arrays=_read(path / ARRAYS))


def _read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file in memory of their own: loaded ones may be a view of the file, which goes away."""
    return {name: tensor.clone() for name, tensor in load_file(path).items()}
