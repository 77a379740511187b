"""How this process was started: alone, or as one of several by torchrun or accelerate."""

import os

_has_met = False


def launched() -> tuple[int, int]:
    """Rank and number of processes that a launcher gave to this one; (0, 1) for a process that runs alone."""
    found = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE")]
    return (int(found[0]), int(found[1])) if all(map(str.isdecimal, found)) else (0, 1)


def has_met() -> bool:
    """Whether this process has met the others, so that they agree on which of them says what is wrong."""
    return _has_met


def set_has_met() -> None:
    """Called when the processes meet."""
    global _has_met
    _has_met = True
