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
    """Yields `items` and shows how far it is; `total` is taken from `len(items)` where it has one."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total, unit=unit, leave=False, dynamic_ncols=True)
        return
    total = len(items) if total is None and isinstance(items, Sized) else total
    start = last = time.monotonic()
    for number, item in enumerate(items):
        now = time.monotonic()
        if now - last > SECONDS_BETWEEN_LINES:
            last = now
            log.info(
                "%s: %s%s %ss, %.0f/s",
                label,
                f"{number:,}",
                f" of {total:,}" if total else "",
                unit,
                number / (now - start),
            )
        yield item
