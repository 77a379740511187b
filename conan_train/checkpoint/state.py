"""Training state that survives kill -9 and continues bit by bit, without pickle.

A run that resumes with anything reset (a moment, a generator, the place in the data) is another run, and no
curve shows it. So a checkpoint holds all that the next step depends on: weights, optimizer state by parameter
name, every random number generator, and what the caller adds (`extra`, `arrays`). Tensors are safetensors,
the rest is JSON. Which checkpoint is whole is decided in `conan_data.checkpoint_files`.

In a distributed run every process calls `save_checkpoint`. The first one writes; where parameters are sharded
(FSDP2), each writes its part of them (see `shards`). Generators are those of the first process: the training loop
seeds each process anew at every step.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor

from conan_data.checkpoint_files import STATE, WEIGHTS, latest_checkpoint, prune_checkpoints, seal, verify
from conan_data.checkpoint_names import named
from conan_data.errors import UserError
from conan_train.checkpoint.generators import generator_states, restore_generators
from conan_train.checkpoint.optimizer import optimizer_state, restore_optimizer
from conan_train.checkpoint.shards import Parts, save_part

__all__ = ["Loaded", "latest_checkpoint", "load_checkpoint", "prune_checkpoints", "save_checkpoint"]

OPTIMIZER = "optimizer"
GENERATORS, ARRAYS = "generators.safetensors", "arrays.safetensors"


@dataclass(frozen=True)
class Process:
    """This process among those of a run; `wait` returns when all have called it."""

    rank: int = 0
    world_size: int = 1
    wait: Callable[[], None] = lambda: None


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
    protected: int | None = None,
    settings: Path | None = None,
    process: Process = Process(),
) -> Path:
    """Write `<directory>/step-<step>/` and return it; with `keep`, all but the newest `keep` whole ones and that of step
    `protected` are removed after that.

    `directory` is the folder of the checkpoints; `step` is the number of steps done; `model` is the bare
    module, not its distributed wrapper; `extra` is JSON. A parameter that is shared is written once. The files in
    the folder `settings`, those of the model's config and tokenizer, become part of it.
    """
    directory = Path(directory)
    final = directory / named(step)
    partial = final.with_name(final.name + ".partial")
    if process.rank == 0:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
    process.wait()
    weights = model_tensors(model)
    optimizer_json, optimizer_tensors = optimizer_state(model, optimizer)
    num_parts = process.world_size if is_sharded(model) else 1
    if process.rank < num_parts:
        save_part(partial, WEIGHTS, weights, rank=process.rank, world_size=num_parts)
        save_part(partial, OPTIMIZER, optimizer_tensors, rank=process.rank, world_size=num_parts)
    if process.rank == 0:
        generator_json, generator_tensors = generator_states()
        state = {
            "parts": num_parts,
            "optimizer": optimizer_json,
            "generators": generator_json,
            "extra": dict(extra or {}),
        }
        save_file(generator_tensors, partial / GENERATORS)
        save_file(
            {name: array.detach().contiguous() for name, array in (arrays or {}).items()}, partial / ARRAYS
        )
        for path in sorted(settings.iterdir()) if settings is not None else ():
            shutil.copyfile(path, partial / path.name)
        (partial / STATE).write_text(json.dumps(state), encoding="utf-8")
    process.wait()
    if process.rank == 0:
        seal(partial, final, step=step)
        if keep is not None:
            prune_checkpoints(directory, keep=keep, protected=protected)
    process.wait()
    return final


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
        load_weights(model, Parts(path, WEIGHTS, world_size=state["parts"]))
        if optimizer is not None:
            restore_optimizer(
                model, optimizer, state["optimizer"], Parts(path, OPTIMIZER, world_size=state["parts"])
            )
            restore_generators(state["generators"], _read(path / GENERATORS))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return Loaded(step=meta["step"], extra=state["extra"], arrays=_read(path / ARRAYS))


def model_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and saved buffers by name, one name for each that is shared."""
    kept = set(model.state_dict().keys())
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor for name, tensor in tensors if name in kept}


def is_sharded(model: torch.nn.Module) -> bool:
    """Whether the parameters are those of FSDP2, of which a process holds a part."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def load_weights(model: torch.nn.Module, parts: Parts) -> None:
    """Raises `UserError` where they are another model's."""
    tensors = model_tensors(model)
    if other := sorted(set(parts.names) ^ tensors.keys()):
        raise UserError(f"holds the weights of another model ({', '.join(other[:3])})")
    with torch.no_grad():
        for name, tensor in tensors.items():
            saved = parts.read(name, like=tensor)
            if saved.shape != tensor.shape:
                raise UserError(
                    f"holds the weights of another model ({name} is {tuple(saved.shape)}, not {tuple(tensor.shape)})"
                )
            tensor.copy_(saved)


def _read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file in memory of their own: loaded ones may be a view of the file, which goes away."""
    return {name: tensor.clone() for name, tensor in load_file(path).items()}
