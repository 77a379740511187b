"""How sure a mean over queries is: percentile bootstrap intervals.

A query and its translations fail together. To draw them one by one would count one hard question as many and
make the interval too narrow, so what is drawn is the source query, with all values that belong to it. In the
pool of one pair of languages a source has one query, and this is the usual bootstrap over queries. What it
covers is the choice of queries, not the choice of documents, nor the seed of a training run.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.95
_BATCH_NUMBERS = 1 << 22
"""Numbers drawn at a time, which bounds the memory."""


def interval(
    values_QM: np.ndarray, sources: Sequence[str], *, num_samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Lower and upper ends [M] of the 95% intervals of the means over Q, drawn by `sources` (one label a
    row).

    None where there is nothing to draw: fewer than two sources, or no samples asked for.
    """
    drawn = _resample(values_QM, sources, num_samples=num_samples, seed=seed)
    return None if drawn is None else (drawn.confidence_interval.low, drawn.confidence_interval.high)


def paired_test(
    differences_QM: np.ndarray, sources: Sequence[str], *, num_samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return the ends [M] of the 95% intervals of mean paired differences, and their two-sided p-values [M].

    `differences_QM` holds one row per query: the metrics of one system minus those of the other. The p-value is
    twice the smaller share of resampled means on either side of zero, with one added to count and total so that
    it is never zero (Davison and Hinkley 1997, section 4.2). None as in `interval`.
    """
    drawn = _resample(differences_QM, sources, num_samples=num_samples, seed=seed)
    if drawn is None:
        return None
    means_MS = drawn.bootstrap_distribution
    tails = [(1 + side.sum(axis=-1)) / (1 + num_samples) for side in (means_MS <= 0, means_MS >= 0)]
    p_M = np.minimum(1.0, 2 * np.minimum(*tails))
    return drawn.confidence_interval.low, drawn.confidence_interval.high, p_M


def _resample(values_QM: np.ndarray, sources: Sequence[str], *, num_samples: int, seed: int) -> Any:
    """Bootstrap the means over Q by source; scipy's result, or None where there is nothing to draw."""
    labels, rows = np.unique(np.asarray(sources), return_inverse=True)
    num_sources = len(labels)
    if num_samples == 0 or num_sources < 2:
        return None
    sums_MC = np.stack([np.bincount(rows, weights=column, minlength=num_sources) for column in values_QM.T])
    counts_MC = np.broadcast_to(np.bincount(rows, minlength=num_sources), sums_MC.shape)
    return stats.bootstrap(
        (sums_MC, counts_MC),
        _ratio,
        paired=True,
        axis=-1,
        vectorized=True,
        n_resamples=num_samples,
        batch=max(1, _BATCH_NUMBERS // sums_MC.size),
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    )


def percentile_interval(
    statistic: Callable[[np.ndarray], np.ndarray], size: int, *, num_samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Lower and upper ends [M] of the 95% intervals of a statistic that is no mean: `statistic` takes rows [S, size]
    of S resamples and gives [S, M]. A resample for which it is NaN (a correlation with a constant) does not count.

    None as in `interval`.
    """
    if num_samples == 0 or size < 2:
        return None
    rng = np.random.default_rng(seed)
    step = max(1, _BATCH_NUMBERS // size)
    values_SM = np.concatenate(
        [
            statistic(rng.integers(size, size=(min(step, num_samples - start), size)))
            for start in range(0, num_samples, step)
        ]
    )
    tail = 50 * (1 - LEVEL)
    low_M, high_M = np.nanpercentile(values_SM, [tail, 100 - tail], axis=0)
    return low_M, high_M


def score_record(
    values_M: np.ndarray, ends: tuple[np.ndarray, np.ndarray] | None
) -> list[dict[str, float | None]]:
    """Each value with the ends of its interval, None where there is none."""
    return [
        {
            "value": float(value),
            "low": float(ends[0][place]) if ends else None,
            "high": float(ends[1][place]) if ends else None,
        }
        for place, value in enumerate(values_M)
    ]


def _ratio(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
    return sums.sum(axis=axis) / counts.sum(axis=axis)
