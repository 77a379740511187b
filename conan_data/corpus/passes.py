"""The passes after the first: each is a datatrove step whose tasks work on a part or a partition of their own.

A task reads what earlier passes left and writes files of its own, and last a mark that holds their hashes; so a
task is done when its mark fits them, and a run that was killed goes on with the others. What all tasks must
see is put together between two passes, by one process, and again in every run.
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
from conan_data.sealed import read_mark, write_mark

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
        """The file that names task `rank`."""

    def made(self, rank: int) -> list[Path]:
        """All files that task `rank` leaves."""
        return [self.result(rank)]

    def mark(self, rank: int) -> Path:
        """Where task `rank` says that it is done."""
        name = f"{self.name.replace(' ', '-')}-{self.result(rank).name}-{rank:05d}.json"
        return self.workspace.scratch / "done" / name

    @abstractmethod
    def work(self, rank: int) -> None:
        """Does task `rank`."""

    def run(self, data: Iterator[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        self.work(rank)
        write_mark(self.mark(rank), self.made(rank))
        yield from ()


def run_pass(step: Pass, num_tasks: int, run: Runner) -> None:
    """Runs the tasks of `step` that are not done."""
    if missing := [rank for rank in range(num_tasks) if read_mark(step.mark(rank)) is None]:
        run([step], missing, num_tasks, label=step.name)
