"""Where two texts that are nearly the same differ, so that a reader need not search for it."""

import re
from difflib import SequenceMatcher

_UNIT = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+|\s+|."
)
"""A character of a script without spaces, a word, or what stands between them."""

Runs = list[tuple[str, bool]]
"""A text in runs, and whether a run is missing from the other text."""


def differences(left: str, right: str) -> tuple[Runs, Runs]:
    """Both texts in runs."""
    units = _UNIT.findall(left), _UNIT.findall(right)
    left_runs: Runs = []
    right_runs: Runs = []
    matcher = SequenceMatcher(None, *units, autojunk=False)
    for kind, left_start, left_end, right_start, right_end in matcher.get_opcodes():
        _add(left_runs, units[0][left_start:left_end], kind != "equal")
        _add(right_runs, units[1][right_start:right_end], kind != "equal")
    return left_runs, right_runs


def _add(runs: Runs, units: list[str], differs: bool) -> None:
    if units:
        runs.append(("".join(units), differs))
