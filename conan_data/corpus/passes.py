"""The passes after the first: each is a datatrove step whose tasks work on a part or a partition of their own.

A task reads what earlier passes left and writes one file of its own, which is whole when it is there; so a
task is done when its file is there, and a run that was killed goes on with the others. What all tasks must
see is put together between two passes, by one process.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.execution.run import run_ranks
from conan_data.corpus.workspace import Workspace

FEW_ROWS = 20_000
"""Up to so many rows one process is done sooner than several have started."""


@dataclass(frozen=True)
class Runner:
    """Where the tasks of a build run; called with a pipeline, it runs the given ranks of `tasks` tasks."""

    executor: ExecutorConfig
    workers: int
    logging_dir: Path

    @property
    def here(self) -> "Runner":
        """The same in this process alone."""
        return replace(self, executor=ExecutorConfig(), workers=1)

    def __call__(
        self, steps: Sequence[PipelineStep], ranks: Sequence[int], tasks: int, *, label: str
    ) -> None:
        run_ranks(
            steps,
            ranks,
            tasks=tasks,
            executor=self.executor,
            workers=self.workers,
            logging_dir=self.logging_dir,
            label=label,
        )


class Pass(PipelineStep):
    """One pass over a workspace."""

    name, type = "pass", "corpus"

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace

    @abstractmethod
    def result(self, rank: int) -> Path:
        """What task `rank` leaves when it is done."""

    @abstractmethod
    def work(self, rank: int) -> None:
        """Does task `rank`."""

    def run(self, data: Iterator[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        self.work(rank)
        yield from ()


def run_pass(step: Pass, num_tasks: int, run: Runner) -> None:
    """Runs the tasks of `step` that are not done."""
    if missing := [rank for rank in range(num_tasks) if not step.result(rank).exists()]:
        run([step], missing, num_tasks, label=step.name)
