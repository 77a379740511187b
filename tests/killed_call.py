"""A process that kills itself in the middle of its work, for scripts of tests."""

import os
import signal
from typing import Any


def die_at_call(owner: Any, name: str, number: int) -> None:
    """Make call `number`, from 1, of the function `name` of `owner` end the process by SIGKILL before it does anything."""
    original = getattr(owner, name)
    calls = 0

    def deadly(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **named)

    setattr(owner, name, deadly)
