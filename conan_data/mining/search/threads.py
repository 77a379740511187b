"""Work on tiles by threads that each use one core.

A thread pool within every operation meets at a barrier thousands of times a second; on a machine that does
anything else, each meeting waits for the scheduler, and two threads are many times slower than one.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def one_core_threads() -> Iterator[Executor]:
    """As many threads as torch has, which use one core each."""
    num_threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(num_threads, "search", lambda: torch.set_num_threads(1)) as pool:
            # The caller's own small steps would meet at barriers too.
            torch.set_num_threads(1)
            yield pool
    finally:
        # A thread's count is also that of threads to come.
        torch.set_num_threads(num_threads)


class Inline(Executor):
    """Does everything at once, in the caller's thread: a GPU takes its work from one."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        """See `Executor`; what `fn` raises comes out here."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **options))
        return future
