"""Runs one task in this process: its steps one after the other, each on what the one before gives.

That is what datatrove's executors do, without their marks of completion (they take a task for done by its
number, whatever was asked of it then) and without the log that they open for every task, which costs more than
a small task does.
"""

from collections import deque
from typing import Any

from datatrove.utils.logging import logger

from conan_data.corpus.execution.description import TaskSet
from conan_data.errors import UnfinishedError


def run_task(work: TaskSet, rank: int) -> None:
    """Raises what a step raises, with a note that names the task, and `UnfinishedError` when memory runs out."""
    logger.disable("datatrove")
    data: Any = None
    try:
        for step in work.build():
            data = step(data, rank, work.tasks)
        deque(data or (), maxlen=0)
    except MemoryError as error:
        raise UnfinishedError(
            f"{work.task(rank)}: memory ran out ({error or 'MemoryError'}); run again with fewer workers, or more tasks"
        ) from error
    except Exception as error:
        error.add_note(f"in {work.task(rank)}")
        raise
