"""Work on tiles by threads that each use one core.

A thread pool within every operation meets at a barrier thousands of times a second; on a machine that does
anything else, each meeting waits for the scheduler, and two threads are many times slower than one.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

Each: TypeAlias = Callable[[Callable[[Any], None], Iterable[Any]], None]


@contextmanager
def one_core_threads() -> Iterator[Each]:
    """Gives a function that calls another on each item, on as many threads as torch has, and returns when all
    are done.
    """
    num_threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(num_threads, "search", lambda: torch.set_num_threads(1)) as pool:
            # The caller's own small steps would meet at barriers too.
            torch.set_num_threads(1)

            def each(work: Callable[[Any], None], items: Iterable[Any]) -> None:
                for _ in pool.map(work, items):
                    pass

            yield each
    finally:
        # A thread's count is also that of threads to come.
        torch.set_num_threads(num_threads)
