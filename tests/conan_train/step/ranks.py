"""Takes the steps of `cases` on real gloo processes: `run(folder)`; every rank writes what it is left with."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import torch
import torch.multiprocessing
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from conan_train.device import make_accelerator
from conan_train.losses.temperature import Temperature
from conan_train.step import embed
from conan_train.step.task import take_step
from tests.conan_train.step.cases import (
    BUDGET,
    DIMS,
    KINDS,
    gradients_of,
    make_embedder,
    make_tasks,
    make_texts,
    weights_of,
)

WORLD_SIZE = 2
WRAPPERS = ("ddp", "fsdp")
PLANTED = ("shifted", "averaged")


def run(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_work, args=(port, str(folder)), nprocs=WORLD_SIZE)


def name_of(kind: str, dims: str, way: str, wrapper: str) -> str:
    return f"{kind}-{dims}-{way}-{wrapper}"


def _work(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(WORLD_SIZE),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    accelerator = make_accelerator("cpu", "no")
    assert accelerator.num_processes == WORLD_SIZE and accelerator.process_index == rank

    def wrapped(wrapper: str) -> torch.nn.Module:
        embedder = make_embedder()
        if wrapper == "ddp":
            return accelerator.prepare(embedder)
        mesh = init_device_mesh("cpu", (WORLD_SIZE,))
        for layer in embedder.backbone.layers:
            fully_shard(layer, mesh=mesh)
        return fully_shard(embedder, mesh=mesh)

    def write(name: str, loss: torch.Tensor, model: torch.nn.Module, temperature: Temperature) -> None:
        found = gradients_of(embed.unwrapped(model), temperature)
        full = {
            key: value.full_tensor() if isinstance(value, DTensor) else value for key, value in found.items()
        }
        save_file({"loss": loss, **full}, Path(folder) / f"{name}-{rank}.safetensors")

    def take(name: str, model: torch.nn.Module, kind: str, dims: str, way: str) -> None:
        model.zero_grad()
        temperature = Temperature(0.1).double()
        result = take_step(
            model,
            make_tasks(kind, dims, temperature()),
            accelerator=accelerator,
            budget=BUDGET,
            weights=weights_of(kind),
            grad_cache=way == "gradcache",
        )
        write(name, result.loss, model, temperature)

    for wrapper in WRAPPERS:
        model = wrapped(wrapper)
        for kind in KINDS:
            for dims in DIMS:
                for way in ("together", "gradcache"):
                    take(name_of(kind, dims, way, wrapper), model, kind, dims, way)
        for way in ("together", "gradcache"):
            model.zero_grad()
            done = embed.embed_and_backward(
                model,
                make_texts(1, seed=5) * 3,
                lambda vectors_ND: (vectors_ND[:, 0].sum(), None),
                accelerator=accelerator,
                budget=BUDGET,
                grad_cache=way == "gradcache",
            )
            write(name_of("one", "text", way, wrapper), done.loss, model, Temperature(0.1))
        for bug in PLANTED:
            right = embed._own_gradients
            embed._own_gradients = _WRONG[bug]
            take(name_of("joined", bug, "together", wrapper), model, "joined", "plain", "together")
            embed._own_gradients = right
    torch.distributed.destroy_process_group()


def _shifted(grad_RD: torch.Tensor, *args: object) -> list[torch.Tensor]:
    """Every rank takes the rows that begin one too late."""
    return _RIGHT(grad_RD.roll(-1, 0), *args)


def _averaged(*args: object) -> list[torch.Tensor]:
    """The wrapper's mean over ranks is left as it is."""
    return [gradient / WORLD_SIZE for gradient in _RIGHT(*args)]


_RIGHT = embed._own_gradients
_WRONG: dict[str, Callable[..., list[torch.Tensor]]] = {"shifted": _shifted, "averaged": _averaged}
