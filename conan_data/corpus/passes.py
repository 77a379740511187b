"""The passes after the first: each is a datatrove step whose tasks work on a part or a partition of their own.

A task reads what earlier passes left and writes one file of its own, which is whole when it is there; so a
task is done when its file is there, and a run that was killed goes on with the others. What all tasks must
see is put together between two passes, by one process.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.executor import Executor
from conan_data.corpus.workspace import Workspace

FEW_ROWS = 20_000
"""Up to so many rows one process is done sooner than several have started."""


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


def run_pass(step: Pass, num_tasks: int, *, workers: int, logging_dir: Path) -> None:
    """Runs the tasks of `step` that are not done."""
    missing = [rank for rank in range(num_tasks) if not step.result(rank).exists()]
    if missing:
        run_ranks([step], missing, tasks=num_tasks, workers=workers, logging_dir=logging_dir)


def run_ranks(
    steps: Sequence[PipelineStep], ranks: Sequence[int], *, tasks: int, workers: int, logging_dir: Path
) -> None:
    """Runs `ranks` of a pipeline of `tasks` tasks."""
    Executor(steps, tasks=tasks, workers=workers, logging_dir=logging_dir).run_ranks(ranks)
