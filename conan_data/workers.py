"""Numbered tasks in processes of this machine.

What goes wrong with the pools of the standard library and of datatrove: one waits for ever when a worker is
killed (as the system does when memory runs out), the other does not know which task that was; both wait for
hours at Ctrl-C until the running tasks are done; both leave workers behind when the main process is killed.
So there is one pipe to each worker, over which task numbers go one way and results the other, and its end is
noticed on both sides.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol

from conan_data import interruption
from conan_data.corpus.execution.failure import Failure
from conan_data.errors import UnfinishedError

SECONDS_TO_END = 5.0


class Work(Protocol):
    """Tasks by number; it is pickled once for every process."""

    def task(self, rank: int) -> str:
        """As messages name a task."""
        ...

    def run(self, rank: int) -> None:
        """Does a task."""
        ...


def run_here(work: Work, ranks: Sequence[int]) -> Generator[int, None, None]:
    """Runs the tasks in this process and yields each one that is done."""
    for rank in ranks:
        work.run(rank)
        yield rank


def run_in_processes(work: Work, ranks: Sequence[int], *, workers: int) -> Generator[int, None, None]:
    """Runs the tasks in up to `workers` processes and yields each one that is done.

    The first error of a task and the first worker that is killed end the run; no process outlives it.
    """
    waiting = deque(ranks)
    running: dict[Connection, _Worker] = {}
    try:
        for _ in range(min(workers, len(ranks))):
            worker = _Worker(work)
            running[worker.connection] = worker
            worker.start(waiting.popleft())
        while running:
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                worker = running[connection]
                yield worker.result()
                if waiting:
                    worker.start(waiting.popleft())
                else:
                    running.pop(connection).end()
    finally:
        for worker in running.values():
            worker.process.kill()
        for worker in running.values():
            worker.end()


class _Worker:
    """A process, and the task that it works on."""

    def __init__(self, work: Work) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, far_end = context.Pipe()
        self.work, self.rank = work, -1
        self.process: SpawnProcess = context.Process(target=_work, args=(far_end, work))
        self.process.start()
        # Only the worker may hold its end, so that the pipe ends when the worker does.
        far_end.close()

    def start(self, rank: int) -> None:
        self.rank = rank
        # A worker that is dead already shows when its result is asked for.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(rank)

    def result(self) -> int:
        """The task that is done; raises its error, or `UnfinishedError` when the process is gone."""
        where = self.work.task(self.rank)
        try:
            failure: Failure | None = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            raise _death(where, self.process.exitcode) from None
        if failure is not None:
            raise failure.error(where)
        return self.rank

    def end(self) -> None:
        """Closes the pipe, at which a worker without a task ends, and waits for that."""
        self.connection.close()
        self.process.join(SECONDS_TO_END)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _death(where: str, exit_code: int | None) -> Exception:
    if exit_code is None or exit_code >= 0:
        return RuntimeError(f"{where}: its worker process ended by itself with exit code {exit_code}")
    name = signal.Signals(-exit_code).name
    cause = (
        "most often for lack of memory; run again with fewer workers"
        if name == "SIGKILL"
        else "run again to go on"
    )
    return UnfinishedError(f"workers: {where}: its process was killed ({name}), {cause}")


def _work(connection: Connection, work: Work) -> None:
    """Runs the tasks whose numbers come in, until the pipe ends."""
    # Ctrl-C and what Slurm sends reach the whole group of processes; the main one decides, and ends its workers.
    for signum in interruption.SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            rank = connection.recv()
        except EOFError:
            return
        failure = None
        try:
            work.run(rank)
        except Exception as error:  # noqa: BLE001 (the outermost frame of a worker: it sends on whatever is left)
            failure = Failure.of(error)
        connection.send(failure)


def _end_with_parent() -> None:
    """A task would otherwise go on for hours after its main process was killed, and write where the next run
    writes.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
