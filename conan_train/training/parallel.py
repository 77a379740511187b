"""One model on one process or on many: DDP, FSDP2, or nothing.

accelerate starts the processes and owns device, autocast and the scaling of fp16 gradients, and wraps for DDP.
FSDP2 is torch's own `fully_shard`, a layer at a time: accelerate offers it on accelerators only, and what cannot
be tested on two CPU processes is not trusted here. Gradients are averaged over processes in both.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from conan_data.errors import UserError


def distribute(model: torch.nn.Module, accelerator: Accelerator, *, parallel: str) -> torch.nn.Module:
    """`model` on its device, wrapped where there are several processes; call the result, and name parameters by
    `model`, which stays the bare module (its parameters are sharded in place by fsdp).
    """
    model.to(accelerator.device)
    if accelerator.num_processes == 1:
        return model
    return _shard(model, accelerator) if parallel == "fsdp" else accelerator.prepare_model(model)


@contextlib.contextmanager
def held(model: torch.nn.Module, *, hold: bool) -> Iterator[None]:
    """While `hold`, backward passes add to the gradients of this process and average nothing."""
    if not hold:
        yield
    elif isinstance(model, torch.nn.parallel.DistributedDataParallel):
        with model.no_sync():
            yield
    elif isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            model.set_requires_gradient_sync(True)
    else:
        yield


def clip_gradients(parameters: list[torch.nn.Parameter], limit: float) -> torch.Tensor:
    """The norm of all gradients, also of sharded ones, after which they are scaled down to `limit`."""
    norms = []
    for sharded in (False, True):
        gradients = [
            item.grad
            for item in parameters
            if item.grad is not None and isinstance(item.grad, DTensor) == sharded
        ]
        if gradients:
            norm = torch.nn.utils.get_total_norm(gradients)
            norms.append(norm.full_tensor() if isinstance(norm, DTensor) else norm)
    total = torch.linalg.vector_norm(torch.stack(norms))
    torch.nn.utils.clip_grads_with_norm_(parameters, limit, total)
    return total


def whole_state(model: torch.nn.Module, *, keep: bool) -> dict[str, torch.Tensor] | None:
    """All weights of a model by name on the CPU, those of a sharded one gathered; None where they are not kept.
    All processes have to call it. A model that is not sharded needs none of this: None, too.
    """
    state = model.state_dict()
    if not any(isinstance(tensor, DTensor) for tensor in state.values()):
        return None
    whole = {}
    for name, tensor in state.items():
        full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            whole[name] = full.cpu()
    return whole if keep else None


def any_process(flag: bool, accelerator: Accelerator) -> bool:
    """Whether `flag` holds on any process; all of them have to ask."""
    return highest((int(flag),), accelerator)[0] > 0


def highest(values: Sequence[int], accelerator: Accelerator) -> list[int]:
    """The highest of each value (int32) among the processes; all of them have to ask, with as many values."""
    if accelerator.num_processes == 1:
        return list(values)
    own = torch.tensor(values, device=accelerator.device, dtype=torch.int32)
    dist.all_reduce(own, op=dist.ReduceOp.MAX)
    return own.tolist()


def _shard(model: torch.nn.Module, accelerator: Accelerator) -> torch.nn.Module:
    from torch.distributed.device_mesh import init_device_mesh

    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    lower = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(accelerator.mixed_precision)
    policy = MixedPrecisionPolicy(param_dtype=lower, reduce_dtype=torch.float32)
    options: dict[str, Any] = {"mesh": mesh, "mp_policy": policy}
    layers = _layers(model)
    if not layers:
        raise UserError(f"parallel: {type(model).__name__} has no list of layers to shard; use ddp")
    for layer in layers:
        fully_shard(layer, **options)
    fully_shard(model, **options)
    return model


def _layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The decoder's layers: the longest list of modules that it has."""
    lists = [list(module) for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    return max(lists, key=len, default=[])
