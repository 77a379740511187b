"""Questions in flight: an event loop in a thread beside the caller's, with one slot for each request at once.

Threads that wake each other for every question take more time than the questions do. So questions wait in a queue that
a slot takes from when it is free, and answers are written down by the batch, in a thread of their own: a slow or locked
disk holds up no request.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from conan_data.chat.answers import Answers, Known, LockedError
from conan_data.errors import UserError

log = logging.getLogger(__name__)
SECONDS_TO_CLOSE = 1.0
"""How long the loop may take to close its connections."""
LONGEST_PAUSE = 0.02
"""Seconds between two looks at an answer that is not there yet."""

Q = TypeVar("Q", contravariant=True)


class Slot(Protocol[Q]):
    """Asks one question at a time."""

    async def ask(self, question: Q) -> Known | None:
        """The answer; None where there is none, and the question may be asked again. What it raises ends the session."""
        ...

    def close(self) -> None: ...


class Session(Generic[Q]):
    """Asks questions in `num_slots` slots at once, in any order, and writes their answers to `answers`."""

    def __init__(
        self,
        open_slot: Callable[[asyncio.Event], Slot[Q]],
        answers: Answers,
        *,
        num_slots: int,
        patience: float,
    ) -> None:
        """`open_slot` gets the event that says that no question is to be asked any more; `patience`: seconds that
        questions in flight may take then.
        """
        self._open_slot, self._answers = open_slot, answers
        self._num_slots, self._patience = num_slots, patience
        self._waiting: deque[tuple[str, Q, Future[Known | None]]] = deque()
        self._unwritten: deque[tuple[str, Known]] = deque()
        self._num_idle = 0
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        self._loop = self._stack.enter_context(_event_loop())
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="answers")
        self._more, self._stopped, self._news = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._running = asyncio.run_coroutine_threadsafe(self._run(), self._loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._writer.shutdown()
        if self._unwritten:
            try:
                self._write()
            except UserError as problem:
                if kind is None and not isinstance(problem, LockedError):
                    raise
                log.warning("%s; %d answers were not kept", problem, len(self._unwritten))

    def submit(self, key: str, question: Q) -> "Future[Known | None]":
        """The future answer of a question."""
        future: Future[Known | None] = Future()
        if (known := self._answers.get(key)) is not None:
            future.set_result(known)
            return future
        self._waiting.append((key, question, future))
        if self._num_idle:
            self._loop.call_soon_threadsafe(self._more.set)
        if self._error is not None:
            self._fail()
        return future

    def wait_for(self, future: "Future[Known | None]") -> Known | None:
        """The answer; raises what ended the session, after the questions in flight, which were paid for."""
        # To be woken for each answer would cost more than the answer does.
        pause = 0.001
        while not future.done():
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        try:
            return future.result()
        except Exception:
            with contextlib.suppress(Exception):
                self._running.result(self._patience)
            raise

    async def _run(self) -> None:
        keeping = asyncio.create_task(self._keep())
        await asyncio.gather(*(self._work() for _ in range(self._num_slots)))
        # No slot ends before there is an error.
        self._news.set()
        await keeping
        self._fail()

    async def _work(self) -> None:
        slot = self._open_slot(self._stopped)
        try:
            while not self._stopped.is_set():
                try:
                    key, question, future = self._waiting.popleft()
                except IndexError:
                    await self._rest()
                    continue
                await self._answer(slot, key, question, future)
        finally:
            slot.close()

    async def _rest(self) -> None:
        """Wait for a question. Whoever adds one looks at `_num_idle` afterwards, so the order of the lines matters."""
        self._num_idle += 1
        self._more.clear()
        if not self._waiting and not self._stopped.is_set():
            await self._more.wait()
        self._num_idle -= 1

    async def _answer(self, slot: Slot[Q], key: str, question: Q, future: "Future[Known | None]") -> None:
        try:
            known = await slot.ask(question)
        except Exception as error:  # noqa: BLE001 (raised by `wait_for`)
            self._stop(error)
            future.set_exception(error)
            return
        if known is not None:
            self._unwritten.append((key, known))
            self._news.set()
        future.set_result(known)

    async def _keep(self) -> None:
        """Write answers down as they come."""
        while not self._stopped.is_set() or self._unwritten:
            await self._news.wait()
            self._news.clear()
            try:
                await self._loop.run_in_executor(self._writer, self._write)
            except LockedError as error:
                log.warning("%s; the run goes on, and its answers are written when it is free", error)
                if self._stopped.is_set():
                    return
                self._news.set()
            except Exception as error:  # noqa: BLE001 (raised by `wait_for`)
                self._stop(error)
                return

    def _write(self) -> None:
        batch = list(self._unwritten)
        if batch:
            self._answers.put(batch)
        for _ in batch:
            self._unwritten.popleft()

    def _stop(self, error: BaseException) -> None:
        self._error = self._error or error
        self._stopped.set()
        self._more.set()
        self._news.set()

    def _fail(self) -> None:
        """Give up the questions that no slot will take any more."""
        while self._error is not None:
            try:
                *_, future = self._waiting.popleft()
            except IndexError:
                return
            future.set_exception(self._error)


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own; what still runs at the end of the block is cancelled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="chat", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(SECONDS_TO_CLOSE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS_TO_CLOSE)
        if not thread.is_alive():
            loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
