"""One artifact that several processes make together.

The main process owns the directory: it alone opens, locks and publishes it. The others are told where it is, do
their part of the work, and never write what a reader could take for whole. One that fails ends the run: the
launcher stops the others, and the same command goes on from the last checkpoint.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from conan_data import artifact
from conan_data.config import StageConfig

T = TypeVar("T")


def build_together(
    config: StageConfig,
    accelerator: Accelerator,
    *,
    kind: str,
    command: str,
    inputs: Iterable[str | Path],
    run: Callable[[Path], T],
    publish: Callable[[artifact.Build, T], Path],
) -> Path:
    """Calls `run(directory)` in every process and `publish` in the main one; returns the artifact's directory.

    Where the artifact is there already, neither is called.
    """
    if not accelerator.is_main_process:
        told: list[str | None] = [None]
        broadcast_object_list(told)
        if told[0] is not None:
            run(Path(told[0]))
        return Path(config.out)
    with artifact.building(config, kind=kind, command=command, inputs=inputs, resume=True) as build:
        broadcast_object_list([None if build.done else str(build.dir)])
        if build.done:
            return build.out
        return publish(build, run(build.dir))
