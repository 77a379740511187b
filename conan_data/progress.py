"""Progress of long work: a bar on a terminal and in a notebook, a plain line every few seconds elsewhere (logs, pipes,
CI), both with the speed and the time that is left.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)
T = TypeVar("T")
SECONDS_BETWEEN_LINES = 15.0


class Meter:
    """Counts units of work; `advance` may be called by any thread."""

    def __init__(self, label: str, *, total: int | None, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.number = 0
        """Units that are done, or were found done."""
        self._skipped = 0
        self._start = self._last = time.monotonic()
        self._lock = threading.Lock()
        self._bar = (
            tqdm(desc=label, total=total, unit=unit, leave=False, dynamic_ncols=True)
            if _shows_bars(sys.stderr)
            else None
        )

    def advance(self, number: int = 1) -> None:
        """Count `number` units as done."""
        with self._lock:
            self.number += number
            if self._bar is not None:
                self._bar.update(number)
            else:
                self._say()

    def catch_up(self, number: int, *, is_new: bool) -> None:
        """Set the units that are done to `number`; those that were not `is_new` do not count as speed."""
        with self._lock:
            added = number - self.number
            self.number = number
            if not is_new:
                self._skipped += added
            if self._bar is not None:
                if not is_new:
                    self._bar.initial += added
                self._bar.update(added)

    def close(self) -> None:
        """Remove the bar, or say what was done where lines were shown on the way."""
        if self._bar is not None:
            self._bar.close()
        elif self._last > self._start and self.number:
            seconds = time.monotonic() - self._start
            done = self.number - self._skipped
            log.info(
                "%s: %s in %s, %s",
                self.label,
                self._count(),
                duration(seconds),
                pace(done, seconds, self.unit),
            )

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._last <= SECONDS_BETWEEN_LINES:
            return
        self._last = now
        done, seconds = self.number - self._skipped, now - self._start
        left = ""
        if self.total and done and self.total >= self.number:
            left = f", about {duration(seconds / done * (self.total - self.number))} left"
        log.info("%s: %s, %s%s", self.label, self._count(), pace(done, seconds, self.unit), left)

    def _count(self) -> str:
        of_all = f" of {self.total:,}" if self.total else ""
        return f"{self.number:,}{of_all} {self.unit}s"


def _shows_bars(stream: object) -> bool:
    """Return whether a line can be drawn again: on a terminal, and in the output of a notebook's cell."""
    isatty = getattr(stream, "isatty", None)
    return (isatty is not None and isatty()) or type(stream).__module__.startswith("ipykernel.")


_current: list[Meter] = []
"""The meters of the work that is being done, the innermost last; those who do the work need not be handed one."""


@contextmanager
def counting(label: str, *, total: int | None = None, unit: str = "row") -> Iterator[Meter]:
    """Show how far the work of a block is, which calls `advance` on the meter or, from anywhere, on `current()`."""
    meter = Meter(label, total=total, unit=unit)
    _current.append(meter)
    try:
        yield meter
    finally:
        _current.remove(meter)
        meter.close()


def current() -> Meter | None:
    """Return the meter of the innermost block of `counting`; None outside of one."""
    return _current[-1] if _current else None


def progress(
    items: Iterable[T], label: str, *, total: int | None = None, done: int = 0, unit: str = "row"
) -> Iterator[T]:
    """Yield `items` and show how far it is. `total` counts the items and those that were `done` before, which do not
    count as speed; it is taken from `len(items)` where that is known.
    """
    total = done + len(items) if total is None and isinstance(items, Sized) else total
    meter = Meter(label, total=total, unit=unit)
    meter.catch_up(done, is_new=False)
    try:
        for item in items:
            yield item
            meter.advance()
    finally:
        meter.close()


def pace(number: int, seconds: float, unit: str) -> str:
    """Return how fast `number` units in `seconds` are: "1,200/s", or "7.5 s a step" where a unit takes longer."""
    if number == 0:
        return f"the first takes {seconds:.0f} s so far"
    if number >= seconds:
        return f"{number / seconds:,.0f}/s"
    return f"{seconds / number:.1f} s a {unit}"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it: "40 s", "12 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
