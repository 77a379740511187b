"""The device and precision of one run, also when another run of the same process had others."""

from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from conan_data.errors import UserError
from conan_data.launch import launched

_PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: one of them may tokenise or mine alone meanwhile."""


def make_accelerator(device: str, precision: str) -> Accelerator:
    """An accelerator for `device` (auto, cpu, cuda, mps) and `precision` (no, bf16, fp16).

    accelerate keeps both for the life of a process and refuses others afterwards, so what an earlier stage
    left is cleared. Raises `UserError` for a device that is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device, True):
        raise UserError(f"device: no {device} here; use cpu, or auto")
    AcceleratorState._reset_state(reset_partial_state=True)
    # Told "not the CPU" on a machine without anything else, accelerate takes every process for a run of its own.
    on_cpu = device == "cpu" or (device == "auto" and not torch.accelerator.is_available())
    # A step has several forwards; broadcasting buffers in each would hang where ranks differ in their number.
    wrapper = DistributedDataParallelKwargs(broadcast_buffers=False)
    group = InitProcessGroupKwargs(timeout=_PATIENCE)
    try:
        accelerator = Accelerator(mixed_precision=precision, cpu=on_cpu, kwargs_handlers=[wrapper, group])
    except ValueError as error:
        raise UserError(f"precision: {precision} does not work here ({error})") from error
    if device not in ("auto", accelerator.device.type):
        raise UserError(
            f"device: accelerate chose {accelerator.device.type}, not {device}; check the settings of accelerate or torchrun"
        )
    if accelerator.num_processes != (num_processes := launched()[1]):
        raise UserError(
            f"device: {num_processes} processes cannot share a run on {accelerator.device.type}; start one without a "
            "launcher, or use --device cpu"
        )
    # accelerate computes in float32 then, and says nothing.
    if precision != "no" and not accelerator.native_amp:
        raise UserError(f"precision: {precision} does not work on {accelerator.device.type}; use bf16, or no")
    return accelerator
