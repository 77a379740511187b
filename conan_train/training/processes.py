"""One artifact that several processes make together.

The main process owns the directory: it alone opens, locks and publishes it. The others are told where it is, do
their part of the work, and never write what a reader could take for whole. One that fails ends the run: the
launcher stops the others, and the same command goes on from the last checkpoint.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

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
        (directory,) = from_main([None], accelerator)
        if directory is not None:
            run(Path(directory))
        return Path(config.out)
    with artifact.building(config, kind=kind, command=command, inputs=inputs, resume=True) as build:
        from_main([None if build.done else str(build.dir)], accelerator)
        if build.done:
            accelerator.end_training()
            return build.out
        result = run(build.dir)
        # Not sooner: what is published may have to be gathered from all processes first.
        accelerator.end_training()
        return publish(build, result)


def from_main(values: list[Any], accelerator: Accelerator) -> list[Any]:
    """`values` of the main process in every process; all have to ask, with as many."""
    told = list(values)
    if accelerator.num_processes > 1:
        broadcast_object_list(told)
    return told
