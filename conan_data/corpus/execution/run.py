"""The one entry of this package: runs tasks of a pass where the config says."""

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.execution.description import Pass
from conan_data.progress import progress


def run_ranks(
    stage: Pass,
    ranks: Sequence[int],
    *,
    executor: ExecutorConfig,
    workers: int,
    logging_dir: Path,
    label: str,
) -> None:
    """Runs the given tasks of `stage`, `workers` at a time, and returns when all are done.

    Which tasks are left to do is the caller's to say, and what they write must be whole or not there: after an
    error, tasks may have been ended half-way. Raises `UserError` for what the user gave wrong and for a worker
    that was killed, `OSError` for a full disk, and `TaskError` for any other error of a task (with one worker,
    the error itself).
    """
    if not ranks:
        return
    # Closed whatever happens, so that nothing that was started goes on.
    with closing(_start(stage, ranks, executor, workers, logging_dir)) as done:
        in_this_process = executor.kind == "local" and workers == 1
        for _ in done if in_this_process else progress(done, label, total=len(ranks), unit="part"):
            pass


def _start(
    stage: Pass, ranks: Sequence[int], executor: ExecutorConfig, workers: int, logging_dir: Path
) -> Generator[int, None, None]:
    logging_dir.mkdir(parents=True, exist_ok=True)
    match executor.kind:
        case "ray":
            from conan_data.corpus.execution.ray import run_on_ray

            return run_on_ray(stage, ranks, logging_dir, workers=workers, config=executor)
        case "slurm":
            from conan_data.corpus.execution.slurm import run_on_slurm

            return run_on_slurm(stage, ranks, logging_dir, workers=workers, config=executor)
    from conan_data.corpus.execution.local import run_here, run_in_processes

    if workers == 1:
        return run_here(stage, ranks, logging_dir)
    return run_in_processes(stage, ranks, logging_dir, workers=workers)
