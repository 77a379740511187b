"""datatrove's local executor, with the ways removed in which it loses work or hides what went wrong.

As it comes, it waits for ever when a worker is killed (as the system does when memory runs out), takes a task
for done by its number whatever was asked of it then, and prints its own log over ours. Here a killed worker
ends the run with a clear message, which tasks are done is the caller's to say, an error in a task is raised
as it is, and datatrove's log is off.
"""

import concurrent.futures as futures
import multiprocessing
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from copy import deepcopy
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.logging import logger

from conan_data.errors import UnfinishedError
from conan_data.progress import progress


class Executor(LocalPipelineExecutor):
    """Runs the given ranks of a pipeline of `tasks` tasks, `workers` at a time."""

    def __init__(
        self, pipeline: Sequence[PipelineStep], *, tasks: int, workers: int, logging_dir: Path
    ) -> None:
        self.pipeline: list[PipelineStep]
        super().__init__(
            pipeline=list(pipeline),
            tasks=tasks,
            workers=workers,
            logging_dir=str(logging_dir),
            skip_completed=False,
        )

    def run_ranks(self, ranks: Sequence[int]) -> None:
        """Raises what a task raises, and `UnfinishedError` when a worker process is killed; the other tasks are
        then given up.
        """
        logger.disable("datatrove")
        if self.workers == 1:
            for rank in ranks:
                self.run_rank(rank)
            return
        context = multiprocessing.get_context("spawn")
        pool = futures.ProcessPoolExecutor(
            min(self.workers, max(len(ranks), 1)), mp_context=context, initializer=_silence
        )
        try:
            running = [pool.submit(self.run_rank, rank) for rank in ranks]
            for done in progress(futures.as_completed(running), "filtering", total=len(running), unit="part"):
                done.result()
        except BrokenProcessPool:
            raise UnfinishedError(
                f"workers: one of {self.workers} worker processes was killed, most often for lack of memory; run again with fewer"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)

    def run_rank(self, rank: int) -> None:
        """One task, with steps of its own."""
        steps = self.pipeline
        self.pipeline = deepcopy(steps)
        try:
            self._run_for_rank(rank)
        finally:
            self.pipeline = steps


def _silence() -> None:
    logger.disable("datatrove")
