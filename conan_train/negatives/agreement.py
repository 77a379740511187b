"""All processes of a run train on the same generation, or the run stops.

The name alone does not prove it: each process reads the store by itself, and a shared file system may show one of
them an older folder. Two processes with other negatives would build other batches, deal them differently and
average gradients of different losses, and no curve would show it.
"""

import zlib

import numpy as np
import torch
from accelerate import Accelerator

from conan_data.errors import UserError
from conan_train.negatives.generation import Generation


def require_agreement(generation: Generation, accelerator: Accelerator) -> None:
    """Raises `UserError` on all processes unless all have read the same pools; all have to call it."""
    if accelerator.num_processes == 1:
        return
    told = torch.tensor([checksum(generation)], device=accelerator.device)
    sums = accelerator.gather(told)
    if bool((sums != sums[0]).any()):
        raise UserError(
            f"{generation.name}: the processes read different negatives; does every host see the same run folder?"
        )


def checksum(generation: Generation) -> int:
    """Of name, step, rows and scores."""
    value = zlib.crc32(f"{generation.name} {generation.step}".encode())
    for array in (generation.row_QP, generation.score_QP):
        value = zlib.crc32(np.ascontiguousarray(array).data, value)
    return value
