"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere (logs, pipes, CI)."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)
T = TypeVar("T")
SECONDS_BETWEEN_LINES = 15.0


def progress(items: Iterable[T], label: str, *, total: int | None = None, unit: str = "row") -> Iterator[T]:
    """Yield `items` and show how far it is; `total` is taken from `len(items)` where it has one."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total, unit=unit, leave=False, dynamic_ncols=True)
        return
    total = len(items) if total is None and isinstance(items, Sized) else total
    start = last = time.monotonic()
    for number, item in enumerate(items):
        now = time.monotonic()
        if now - last > SECONDS_BETWEEN_LINES:
            last = now
            of_all = f" of {total:,}" if total else ""
            log.info("%s: %s%s %ss, %s", label, f"{number:,}", of_all, unit, pace(number, now - start, unit))
        yield item


def pace(number: int, seconds: float, unit: str) -> str:
    """Return how fast `number` units in `seconds` are: "1,200/s", or "7.5 s a step" where a unit takes longer."""
    if number == 0:
        return f"the first takes {seconds:.0f} s so far"
    if number >= seconds:
        return f"{number / seconds:,.0f}/s"
    return f"{seconds / number:.1f} s a {unit}"
