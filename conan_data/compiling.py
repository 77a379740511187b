"""`numba.njit`, with a line in the log where a kernel is really compiled.

The kernels are compiled at the first use on a machine and kept beside their files (numba's cache). That takes up to
half a minute in which nothing else is heard, and never happens again, so it is said, and only then.
"""

import logging
import multiprocessing

from numba import njit
from numba.core.event import Event, Listener, register

__all__ = ["njit"]

log = logging.getLogger(__name__)


class _Announcer(Listener):
    """Says once a process that kernels of this package are compiled."""

    def __init__(self) -> None:
        self.is_said = False

    def on_start(self, event: Event) -> None:
        """Called by numba where a function is compiled, not where it comes from the cache."""
        module = event.data["dispatcher"].py_func.__module__
        if not self.is_said and module.partition(".")[0] == __name__.partition(".")[0]:
            self.is_said = True
            _say("compiling array kernels (up to half a minute, once per machine and version)")

    def on_end(self, event: Event) -> None:
        """Nothing is said of the end: the work goes on."""


def _say(line: str) -> None:
    """Log a line; of worker processes, which compile at the same time and have no log, the first one does."""
    if multiprocessing.parent_process() is None:
        log.info("%s", line)
    elif multiprocessing.current_process().name.endswith("-1"):
        log.warning("%s", line)


register("numba:compile", _Announcer())
