"""Runs one task in this process, by datatrove's own loop over the steps.

datatrove takes a task for done by its number, whatever was asked of it then, and prints its log over ours: the
first is switched off (the caller says which tasks are to run), and so is the second.
"""

from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.utils.logging import logger

from conan_data.corpus.execution.description import TaskSet
from conan_data.errors import UserError


def run_task(work: TaskSet, rank: int, logging_dir: Path) -> None:
    """Raises what a step raises, with a note that names the task, and `UserError` when memory runs out."""
    logger.disable("datatrove")
    executor = LocalPipelineExecutor(
        pipeline=work.build(),
        tasks=work.tasks,
        workers=1,
        logging_dir=str(logging_dir),
        skip_completed=False,
    )
    try:
        executor._run_for_rank(rank)
    except MemoryError as error:
        raise UserError(
            f"{work.task(rank)}: memory ran out ({error or 'MemoryError'}); run again with fewer workers, or more tasks"
        ) from error
    except Exception as error:
        error.add_note(f"in {work.task(rank)}")
        raise
