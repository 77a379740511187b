"""Thresholds by language from labels, and what they give.

A threshold is the lowest score from which the labelled pairs reach the precision that is asked for. Measured on the
labels that chose it, that precision is too good. So it is stated from two halves: the threshold that one half of the
labels chooses is measured on the other half, both ways, and the counts are added up (with Wilson's interval, 95%).
Half the labels choose worse than all do, so what is stated is rather less than what is true. Labels must be a random
sample of the pairs of their language.

n labelled pairs.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from conan_data.classifier.measure import choose_threshold, share

ALL = "all"
"""Name of all languages together."""


@dataclass(frozen=True)
class Threshold:
    """A threshold, where it comes from (`default`, `labels`, or `all`: the labels of all languages), and what it gives."""

    value: float
    origin: str
    num_labels: int = 0
    reached: bool | None = None
    """Whether the labels reach the precision at it."""
    precision: dict[str, Any] | None = None
    recall: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def choose_thresholds(
    scores_n: np.ndarray,
    good_n: np.ndarray,
    languages_n: np.ndarray,
    keys_n: np.ndarray,
    *,
    languages: list[str],
    precision: float,
    min_labels: int,
    default: float,
) -> dict[str, Threshold]:
    """Return the threshold of each language. `good_n` says which pairs belong together; `keys_n` (whole numbers) halve the
    labels.
    """
    every = _of_labels(scores_n, good_n, keys_n, precision, min_labels)
    found = {}
    for language in languages:
        own = languages_n == language
        threshold = _of_labels(scores_n[own], good_n[own], keys_n[own], precision, min_labels)
        if threshold is None and every is not None:
            threshold = Threshold(
                every.value, ALL, int(own.sum()), every.reached, every.precision, every.recall
            )
        found[language] = threshold or Threshold(default, "default", int(own.sum()))
    return found


def _of_labels(
    scores_n: np.ndarray, good_n: np.ndarray, keys_n: np.ndarray, precision: float, min_labels: int
) -> Threshold | None:
    """None where there are too few labels, or none of a good pair."""
    if len(scores_n) < min_labels or not good_n.any():
        return None
    value, reached = choose_threshold(scores_n, good_n, target="precision", value=precision)
    half_n = keys_n % 2 == 1
    num_hits = num_taken = 0
    for own_n in (half_n, ~half_n):
        if not good_n[own_n].any():
            return Threshold(value, "labels", len(scores_n), reached)
        chosen, _ = choose_threshold(scores_n[own_n], good_n[own_n], target="precision", value=precision)
        taken_n = ~own_n & (scores_n >= chosen)
        num_taken += int(taken_n.sum())
        num_hits += int((taken_n & good_n).sum())
    return Threshold(
        value,
        "labels",
        len(scores_n),
        reached,
        share(num_hits, num_taken),
        share(num_hits, int(good_n.sum())),
    )
