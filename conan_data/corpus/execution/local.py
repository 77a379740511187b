"""Tasks of a pass in processes of this machine (see `workers`)."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from conan_data import workers as processes
from conan_data.corpus.execution.description import TaskSet
from conan_data.corpus.execution.task import run_task


@dataclass(frozen=True)
class _Pipeline:
    """The tasks of a pipeline, as processes run them."""

    work: TaskSet

    def task(self, rank: int) -> str:
        return self.work.task(rank)

    def run(self, rank: int) -> None:
        run_task(self.work, rank)


def run_here(work: TaskSet, ranks: Sequence[int]) -> Generator[int, None, None]:
    """Runs the tasks in this process and yields each one that is done."""
    return processes.run_here(_Pipeline(work), ranks)


def run_in_processes(work: TaskSet, ranks: Sequence[int], *, workers: int) -> Generator[int, None, None]:
    """Runs the tasks in up to `workers` processes and yields each one that is done."""
    return processes.run_in_processes(_Pipeline(work), ranks, workers=workers)
