"""A training's log as series of numbers, short enough to draw.

A run of a hundred thousand steps must not make a page of a hundred megabytes, and plotting every tenth line
would show noise as if it were signal. So a long series becomes the means of equal stretches; counts stay
sums, turned into rates by the steps they cover.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_POINTS = 600


@dataclass(frozen=True)
class Series:
    """A quantity over steps: float64 [n] each."""

    steps: np.ndarray
    values: np.ndarray


def series(lines: Sequence[Mapping[str, Any]], field: str) -> Series | None:
    """The values of `field` in the step lines that hold a number there; None when none does."""
    points = [
        (line["step"], line[field]) for line in step_lines(lines) if isinstance(line.get(field), int | float)
    ]
    if not points:
        return None
    steps, values = np.array(points, dtype=np.float64).T
    return thinned(Series(steps, values))


def replaced_per_step(lines: Sequence[Mapping[str, Any]]) -> Series | None:
    """Negatives that the rule replaced, a step; a log line counts those since the line before it. None where no
    rule was in force.
    """
    points = [
        (line["step"], line["replaced"])
        for line in step_lines(lines)
        if isinstance(line.get("replaced"), int | float)
    ]
    if not points:
        return None
    steps, counts = np.array(points, dtype=np.float64).T
    # The first line covers the steps from the start, and steps are counted from 0 or from 1.
    covered = np.diff(steps, prepend=min(0.0, steps[0] - 1))
    return thinned(Series(steps, counts / np.maximum(covered, 1)))


def total_replaced(lines: Sequence[Mapping[str, Any]]) -> int:
    """Negatives that the rule replaced, in all."""
    return sum(
        int(line["replaced"]) for line in step_lines(lines) if isinstance(line.get("replaced"), int | float)
    )


def task_losses(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Fields that hold the losses of single tasks."""
    names = {name for line in step_lines(lines) for name in line if name.endswith("_loss")}
    return sorted(names - {"z_loss"} - {name for name in names if name.endswith("random_loss")})


@dataclass(frozen=True)
class Warned:
    """What a log warns of, in the words of the last line that does: first and last step, and how many lines."""

    first: int
    last: int
    count: int
    words: str
    is_over: bool
    """Whether later lines are without it."""


def warnings(lines: Sequence[Mapping[str, Any]]) -> list[Warned]:
    """Return what a log warns of; warnings that differ in their numbers only are one."""
    found: dict[str, Warned] = {}
    steps = step_lines(lines)
    for line in steps:
        for words in line.get("warnings", ()):
            key = re.sub(r"[0-9.]+", "", words)
            known = found.get(key)
            first, count = (known.first, known.count) if known else (line["step"], 0)
            found[key] = Warned(first, line["step"], count + 1, words, line["step"] < steps[-1]["step"])
    return list(found.values())


def step_lines(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines of steps; logs without events have no others."""
    return [line for line in lines if line.get("event", "step") == "step" and "step" in line]


def refreshes(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines of minings, in order."""
    return [line for line in lines if line.get("event") == "refresh"]


def evaluations(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the lines of evaluations on held-out data, in order."""
    return [line for line in lines if line.get("event") == "evaluation"]


def score_series(lines: Sequence[Mapping[str, Any]]) -> Series | None:
    """Return the scores on held-out data; None where the run was not evaluated."""
    found = [(line["step"], line["score"]) for line in evaluations(lines)]
    if not found:
        return None
    steps, values = np.array(found, dtype=np.float64).T
    return thinned(Series(steps, values))


def thinned(full: Series, *, most: int = MOST_POINTS) -> Series:
    """Means of at most `most` stretches of equally many points; NaN where a stretch has a NaN."""
    if len(full.steps) <= most:
        return full
    stretches = np.array_split(np.arange(len(full.steps)), most)
    return Series(
        np.array([full.steps[stretch].mean() for stretch in stretches]),
        np.array([full.values[stretch].mean() for stretch in stretches]),
    )
