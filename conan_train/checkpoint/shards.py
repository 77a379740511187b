"""Tensors of which every process holds a part, as files and back.

Under FSDP2 a weight and its moments are spread over the processes along the first dimension. Gathering them to
save would need the memory that sharding saves, so each process writes its own part; the global shape is the
model's. A run that goes on with as many processes reads each part back where it was; with another number, or
without sharding, the parts are joined and cut anew.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor, distribute_tensor


def shard_name(stem: str, rank: int, world_size: int) -> str:
    """File of one process's part; of everything where there is one."""
    return (
        f"{stem}.safetensors" if world_size == 1 else f"{stem}-{rank + 1:05d}-of-{world_size:05d}.safetensors"
    )


def save_part(
    folder: Path, stem: str, tensors: Mapping[str, torch.Tensor], *, rank: int, world_size: int
) -> None:
    """Writes this process's part of `tensors`; of those that are whole everywhere the first process writes all."""
    parts = {
        name: tensor.to_local() if isinstance(tensor, DTensor) else tensor
        for name, tensor in tensors.items()
        if rank == 0 or isinstance(tensor, DTensor)
    }
    save_file(
        {name: part.detach().contiguous() for name, part in parts.items()},
        folder / shard_name(stem, rank, world_size),
    )


class Parts:
    """The tensors below one stem of a checkpoint of `world_size` processes."""

    def __init__(self, folder: Path, stem: str, *, world_size: int) -> None:
        self._files = [
            safe_open(folder / shard_name(stem, rank, world_size), framework="pt")
            for rank in range(world_size)
        ]
        self.names = list(self._files[0].keys())

    def read(self, name: str, *, like: torch.Tensor | None = None) -> torch.Tensor:
        """The tensor in memory of its own; sharded as `like` if that is sharded, else whole."""
        if not isinstance(like, DTensor):
            return self._whole(name)
        mesh = like.device_mesh
        if self._is_sharded(name) and mesh.size() == len(self._files):
            part = self._files[mesh.get_rank()].get_tensor(name)
            return DTensor.from_local(
                part.to(like.device), mesh, like.placements, shape=like.shape, stride=like.stride()
            )
        whole = self._whole(name)
        if whole.shape != like.shape:  # an entry of the optimizer that is one number for a whole weight
            return whole
        return distribute_tensor(whole.to(like.device), mesh, like.placements, src_data_rank=None)

    def _is_sharded(self, name: str) -> bool:
        return len(self._files) > 1 and name in self._files[1].keys()  # noqa: SIM118 (not a dict)

    def _whole(self, name: str) -> torch.Tensor:
        if not self._is_sharded(name):
            return self._files[0].get_tensor(name).clone()
        return torch.cat([file.get_tensor(name) for file in self._files])
