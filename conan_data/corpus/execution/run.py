"""The one entry of this package: runs tasks of a pass where the config says."""

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.execution import local, ray, slurm
from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.execution.description import TaskSet
from conan_data.progress import progress


def run_ranks(
    steps: Sequence[PipelineStep],
    ranks: Sequence[int],
    *,
    tasks: int,
    executor: ExecutorConfig,
    workers: int,
    logging_dir: Path,
    label: str,
) -> None:
    """Runs the tasks `ranks` of a pipeline of `tasks` tasks, `workers` at a time, and returns when all are done.

    Which tasks are left to do is the caller's to say, and what they write must be whole or not there: after an
    error, tasks may have been ended half-way. Raises `UserError` for what the user gave wrong, `UnfinishedError`
    for a worker that was killed, too little memory and an executor that does not work, `OSError` for a full
    disk, and `TaskError` for any other error of a task (with one worker, the error itself).
    """
    if not ranks:
        return
    logging_dir.mkdir(parents=True, exist_ok=True)
    if slurm.has_left_over(logging_dir):
        slurm.cancel_left_over(logging_dir)
    work = TaskSet(name=label, tasks=tasks, steps=tuple(steps))
    # Closed whatever happens, so that nothing that was started goes on.
    with closing(_start(work, ranks, executor, workers, logging_dir)) as done:
        in_this_process = executor.kind == "local" and workers == 1
        for _ in done if in_this_process else progress(done, label, total=len(ranks), unit="part"):
            pass


def _start(
    work: TaskSet, ranks: Sequence[int], executor: ExecutorConfig, workers: int, logging_dir: Path
) -> Generator[int, None, None]:
    match executor.kind:
        case "ray":
            return ray.run_on_ray(work, ranks, logging_dir, workers=workers, config=executor)
        case "slurm":
            return slurm.run_on_slurm(work, ranks, logging_dir, workers=workers, config=executor)
    if workers == 1:
        return local.run_here(work, ranks)
    return local.run_in_processes(work, ranks, workers=workers)
