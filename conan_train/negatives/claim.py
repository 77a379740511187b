"""Which service mines what: a file that only one can make, kept young by whoever works on it.

Two services that mine the same do no harm, they only waste an hour; so a claim need not be perfect, but it must not
outlive its owner. Clocks of hosts differ, so a claim's age is not read from its time: an onlooker remembers when it
last saw the file change, by its own clock, and takes over one that has not changed for long. A claim whose process
is gone from the onlooker's own host is taken over at once.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

BEAT = 5.0
"""Seconds between two signs of life."""
STALE = 60.0
"""Seconds without one after which a claim is nobody's."""


class Claims:
    """Those in `folder`, as one service sees them."""

    def __init__(self, folder: Path, *, beat: float = BEAT, stale: float = STALE) -> None:
        self.folder, self.beat, self.stale = folder, beat, stale
        self._seen: dict[str, tuple[int, float]] = {}

    @contextmanager
    def taken(self, name: str) -> Iterator[bool]:
        """Whether `name` is this service's until the block is left. Raises `OSError` where nothing can be written."""
        path = self.folder / f"{name}.lock"
        if not (self._make(path) or (self._is_nobodys(path) and self._take_over(path))):
            yield False
            return
        done = threading.Event()
        thread = threading.Thread(target=self._keep_young, args=(path, done), name="claim", daemon=True)
        thread.start()
        try:
            yield True
        finally:
            done.set()
            thread.join()
            path.unlink(missing_ok=True)

    def _make(self, path: Path) -> bool:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump({"host": socket.gethostname(), "pid": os.getpid()}, file)
        except OSError:  # a claim that names nobody would be in the way until it is stale
            path.unlink(missing_ok=True)
            raise
        return True

    def _is_nobodys(self, path: Path) -> bool:
        try:
            changed = path.stat().st_mtime_ns
            host, pid = _owner(path.read_bytes())
        except FileNotFoundError:
            return True
        if host == socket.gethostname() and not _is_alive(pid):
            return True
        last, since = self._seen.get(path.name, (0, 0.0))
        if changed != last:
            self._seen[path.name] = (changed, time.monotonic())
            return False
        return time.monotonic() - since > self.stale

    def _take_over(self, path: Path) -> bool:
        """Only one of several onlookers moves the old file away."""
        aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            path.rename(aside)
        except FileNotFoundError:
            return self._make(path)
        aside.unlink(missing_ok=True)
        log.warning("%s: took over a claim without a living owner", path.name)
        return self._make(path)

    def _keep_young(self, path: Path, done: threading.Event) -> None:
        while not done.wait(self.beat):
            try:
                os.utime(path)
            except OSError:  # somebody thought us dead and took over; both go on, and publish the same
                return


def _owner(content: bytes) -> tuple[str, int]:
    """Host and process of a claim; ("", 0) where its owner is writing it, died on the way, or it was edited."""
    try:
        owner = json.loads(content)
        host, pid = owner["host"], owner["pid"]
    except (ValueError, KeyError, TypeError):
        return "", 0
    return (host, pid) if isinstance(host, str) and type(pid) is int and 0 < pid < 1 << 31 else ("", 0)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Killed, and its parent has not looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return False
