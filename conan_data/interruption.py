"""SIGTERM and Ctrl-C, as one exception.

By default SIGTERM ends a Python process without any clean-up, and Ctrl-C raises wherever the program is. Within
`handled()` both raise `Interrupted` in the main thread, so that whatever is open is closed, partial output is kept or
removed by the rule of its publisher, and children are ended. Work that has a better moment to stop (a training step)
defers: within `deferred()` the signal only sets a mark, which the work looks at.

Launchers send a signal twice (torchrun forwards SIGTERM to processes that Slurm has told already), so what arrives
within `SAME_REQUEST` seconds is one request. A later one ends the process at once. So does a process that is still
there `SECONDS_TO_END` seconds after `Interrupted` was due: it hangs in code that does not return to Python.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WAKE = signal.SIGURG
"""Ignored by default, and used by nobody."""
_SECONDS_TO_WAKE = 1.0
SAME_REQUEST = 3.0
SECONDS_TO_END = 20.0
"""Less than the 30 seconds after which Slurm and torchrun kill."""


class Interrupted(KeyboardInterrupt):
    """The process was asked to end by the signal `signum`; `where` says in a few words what it had done by then."""

    def __init__(self, signum: int, where: str = "") -> None:
        super().__init__(f"{_WORDS[signum]}{where}; run the same command again to go on")
        self.signum = signum

    @property
    def code(self) -> int:
        """The exit code, by the convention of shells."""
        return 128 + self.signum


_WORDS: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "ended by SIGTERM"}


@dataclass
class _State:
    """What the handler knows."""

    signum: int = 0
    """The first signal that came, 0 for none."""
    num_deferring: int = 0
    error: BaseException | None = None
    """What another thread asks the main thread to raise."""
    is_ending: bool = False
    is_handled: bool = False
    is_program: bool = True
    """Whether the process is ours to end."""
    since: float = 0.0
    """When the first signal came."""


_state = _State()


def requested() -> int:
    """The signal that asked this process to end, 0 for none."""
    return _state.signum


@contextlib.contextmanager
def handled(*, is_program: bool = True) -> Iterator[None]:
    """Handle the signals in this block. A signal that is ignored (`nohup`) stays ignored; does nothing outside the
    main thread.

    Within a program of others (`is_program=False`) handlers of its own stay, the process is never ended, a second
    request raises wherever it comes, and all is as before afterwards.
    """
    if threading.current_thread() is not threading.main_thread() or _state.is_handled:
        yield
        return
    _state.signum, _state.error, _state.is_ending, _state.is_handled = 0, None, False, True
    _state.is_program = is_program
    old = {signum: signal.getsignal(signum) for signum in (*SIGNALS, _WAKE)}
    taken = [signum for signum in old if old[signum] is not signal.SIG_IGN]
    if not is_program:
        taken = [signum for signum in taken if old[signum] in (signal.SIG_DFL, signal.default_int_handler)]
        for signum in taken:
            signal.signal(signum, _on_signal)
        try:
            yield
        finally:
            _state.is_handled, _state.signum, _state.is_ending = False, 0, False
            for signum in taken:
                signal.signal(signum, old[signum])
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for signum in taken:
        signal.signal(signum, _on_signal)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), name="signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        os.close(writer)
        _state.is_handled = False
        # What a launcher sends now must not change the exit code while the interpreter ends.
        is_ending = bool(_state.signum or _state.is_ending)
        for signum in taken:
            signal.signal(signum, signal.SIG_IGN if is_ending and signum != _WAKE else old[signum])


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Signals in this block raise nothing before its end; it looks at `requested`, and ends early."""
    _state.num_deferring += 1
    try:
        yield
    finally:
        _state.num_deferring -= 1
    if _state.signum and not _state.num_deferring:
        raise Interrupted(_state.signum)


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Signals raise in this block although an outer one defers; a signal that came before raises at its start."""
    before, _state.num_deferring = _state.num_deferring, 0
    try:
        if _state.signum and before:
            raise Interrupted(_state.signum)
        yield
    finally:
        _state.num_deferring = before


def raise_in_main(error: BaseException) -> None:
    """Raise `error` in the main thread, as soon as that runs Python code; signals that come later are ignored."""
    if _state.is_handled:
        _state.error = error
        _wake_main(lambda: _state.error is None)


def ignore_from_now() -> None:
    """Ignore further signals: the process is ending already, for a reason that it has said."""
    _state.is_ending = True


def wait_for_signal(seconds: float) -> bool:
    """Wait for a signal, `seconds` at most; say whether one came."""
    until = time.monotonic() + seconds
    _state.num_deferring += 1
    while not _state.signum and time.monotonic() < until:
        time.sleep(0.05)
    _state.num_deferring -= 1
    return bool(_state.signum)


def _on_signal(signum: int, frame: FrameType | None) -> None:
    error, _state.error = _state.error, None
    if error is not None and not _state.is_ending:
        _state.is_ending = True
        raise error
    if not _state.is_program and _state.signum == signum and time.monotonic() - _state.since > SAME_REQUEST:
        raise Interrupted(signum)
    if _state.signum or _state.is_ending or signum == _WAKE:
        return
    _state.signum, _state.since = signum, time.monotonic()
    if not _state.num_deferring:
        raise Interrupted(signum)


def _watch(reader: int) -> None:
    """End the process at a second request, or where the first one is not heard."""
    first = 0.0
    with contextlib.closing(os.fdopen(reader, "rb", buffering=0)) as pipe:
        while byte := pipe.read(1):
            now, signum = time.monotonic(), byte[0]
            if signum not in SIGNALS:
                continue
            if not first:
                first = now
                _wake_main(lambda: _state.signum != 0 or _state.is_ending)
                if not _state.num_deferring:
                    timer = threading.Timer(SECONDS_TO_END, _end, args=(signum,))
                    timer.daemon = True
                    timer.start()
            elif now - first > SAME_REQUEST:
                _end(signum)


def _wake_main(is_heard: Callable[[], bool]) -> None:
    """Make the main thread leave a call that waits, so that it runs the handler of a signal that has come.

    Libraries (polars) install SIGINT again such that the system goes on with interrupted calls, and a signal may reach
    another thread. So another signal follows, more than once: one that comes while the first is handled does nothing.
    """
    until = time.monotonic() + _SECONDS_TO_WAKE
    while not is_heard() and time.monotonic() < until:
        signal.pthread_kill(threading.main_thread().ident or 0, _WAKE)
        time.sleep(0.02)


def _end(signum: int) -> None:
    os.write(2, b"error: ended at once; run the same command again to go on\n")
    os._exit(128 + signum)
