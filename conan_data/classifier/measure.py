"""Thresholds, and what they give on texts that chose neither the model nor the threshold.

A share from few texts says little, so each comes with its Wilson interval (95%), and a language with few texts
gets no threshold of its own. Pure functions of arrays: `scores` is float [N], `positive` bool [N].
"""

from typing import Any

import numpy as np

CONFIDENCE = 0.95


def choose_threshold(
    scores: np.ndarray, positive: np.ndarray, *, target: str, value: float
) -> tuple[float, bool]:
    """The lowest threshold with that precision, or the highest with that recall (a text is taken from the
    threshold on), half-way to the next score; and whether it reaches the target.

    Where no threshold has the precision, it is the one with the most. At least one text must be positive.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order].astype(np.float64), np.cumsum(positive[order])
    # Texts with equal scores are taken together.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    precision, recall = hits[ends] / (ends + 1), hits[ends] / hits[-1]
    if target == "recall":
        reached, best = True, np.argmax(recall >= value)
    else:
        reaching = np.flatnonzero(precision >= value)
        reached = len(reaching) > 0
        best = reaching[-1] if reached else np.argmax(precision)
    end = int(ends[best])
    below = ranked[end + 1] if end + 1 < len(ranked) else 0.0
    return float((ranked[end] + below) / 2), reached


def measure(scores: np.ndarray, positive: np.ndarray, threshold: np.ndarray | float) -> dict[str, Any]:
    """Precision, recall, F1 and average precision; None for what cannot be known (no text taken, none
    positive).
    """
    from sklearn.metrics import average_precision_score

    taken = scores >= threshold
    num_hits, num_taken = int((taken & positive).sum()), int(taken.sum())
    num_positive = int(positive.sum())
    return {
        "texts": len(scores),
        "positive": num_positive,
        "taken": num_taken,
        "precision": share(num_hits, num_taken),
        "recall": share(num_hits, num_positive),
        "f1": round(2 * num_hits / (num_taken + num_positive), 4) if num_taken + num_positive else None,
        "average_precision": round(float(average_precision_score(positive, scores)), 4)
        if num_positive
        else None,
    }


def share(part: int, whole: int) -> dict[str, Any] | None:
    """`part / whole` with its Wilson interval; None for a share of nothing."""
    if whole == 0:
        return None
    from scipy.stats import binomtest

    interval = binomtest(part, whole).proportion_ci(CONFIDENCE, method="wilson")
    return {
        "value": round(part / whole, 4),
        "low": round(float(interval.low), 4),
        "high": round(float(interval.high), 4),
        "part": part,
        "whole": whole,
    }
