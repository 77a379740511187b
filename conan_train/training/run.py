"""One training run, open on all of its processes: who takes part, on which device, and where the output is made.

The leader owns the directory: it alone opens, locks and publishes it. The others do their part of the work there, and
never write what a reader could take for whole.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator

from conan_data import artifact
from conan_data.distributed import Ranks, building, ranks
from conan_train.device import make_accelerator
from conan_train.training.config import TrainingConfig
from conan_train.training.trackers import require_trackers


@dataclass(frozen=True)
class OpenRun:
    """What the stages that train work with; the leader publishes `build`, unless it is done already."""

    ranks: Ranks
    accelerator: Accelerator
    build: artifact.Build

    @property
    def extended_at(self) -> int:
        """The step at which a shorter run was last extended to this one; 0 where none was."""
        history = self.build.header.get("extended_from", [])
        return history[-1]["step"] if history else 0


@contextmanager
def open_run(
    config: TrainingConfig, *, kind: str, command: str, inputs: Callable[[], Iterable[str | Path]]
) -> Iterator[OpenRun]:
    """Opens the run of `config` on all processes; `inputs` is called on the leader.

    Raises `UserError` for a device, a tracker or an output directory that cannot be used.
    """
    require_trackers(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    with ranks(trains=config.device != "cpu") as own:
        accelerator = make_accelerator(config.device, config.precision)
        with building(config, own, kind=kind, command=command, inputs=inputs) as build:
            yield OpenRun(own, accelerator, build)
        # A wrapper that outlives its group waits for ever at the end of a process.
        accelerator.free_memory()
