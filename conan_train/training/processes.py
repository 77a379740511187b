"""One artifact that several processes make together.

The main process owns the directory: it alone opens, locks and publishes it. The others are told where it is, do
their part of the work, and never write what a reader could take for whole. Where the main process alone has found
the input wrong, the others are told, and end with it: none waits for a word that never comes. One that fails in the
middle of the work ends the run: the launcher stops the others, and the same command goes on from the last
checkpoint.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from conan_data import artifact
from conan_data.config import StageConfig
from conan_data.errors import SaidElsewhereError, UserError

T = TypeVar("T")


def build_together(
    config: StageConfig,
    accelerator: Accelerator,
    *,
    kind: str,
    command: str,
    inputs: Callable[[], Iterable[str | Path]],
    run: Callable[[Path], T],
    publish: Callable[[artifact.Build, T], Path],
) -> Path:
    """Calls `run(directory)` in every process, `inputs` and `publish` in the main one; returns the artifact's
    directory.

    Where the artifact is there already, neither `run` nor `publish` is called.
    """
    if accelerator.is_main_process:
        _lead(config, accelerator, kind=kind, command=command, inputs=inputs, run=run, publish=publish)
    elif directory := _said(accelerator):
        run(Path(directory))
    # A wrapper that outlives its group, or a group that a peer has left, waits for ever at the end of a process.
    accelerator.free_memory()
    accelerator.wait_for_everyone()
    accelerator.state.destroy_process_group()
    return Path(config.out)


def by_main(make: Callable[[], T], accelerator: Accelerator) -> T:
    """What `make` returns in the main process, in every process; all have to ask. Raises in all of them where it
    raises `UserError`.
    """
    if not accelerator.is_main_process:
        return _said(accelerator)
    try:
        made = make()
    except UserError:
        _say(accelerator, failed=True)
        raise
    _say(accelerator, made)
    return made


def _lead(
    config: StageConfig,
    accelerator: Accelerator,
    *,
    kind: str,
    command: str,
    inputs: Callable[[], Iterable[str | Path]],
    run: Callable[[Path], T],
    publish: Callable[[artifact.Build, T], Path],
) -> None:
    is_said = False
    try:
        with artifact.building(config, kind=kind, command=command, inputs=inputs(), resume=True) as build:
            is_said = True
            _say(accelerator, None if build.done else str(build.dir))
            if not build.done:
                publish(build, run(build.dir))
    except UserError:
        if not is_said:
            _say(accelerator, failed=True)
        raise


def _say(accelerator: Accelerator, value: Any = None, *, failed: bool = False) -> None:
    if accelerator.num_processes > 1:
        broadcast_object_list([failed, value])


def _said(accelerator: Accelerator) -> Any:
    failed, value = broadcast_object_list([None, None])
    if failed:
        raise SaidElsewhereError("the main process has found the input wrong")
    return value
