"""How sure a mean over queries is: percentile bootstrap intervals.

A query and its translations fail together. To draw them one by one would count one hard question as many and
make the interval too narrow, so what is drawn is the source query, with all values that belong to it. In the
pool of one pair of languages a source has one query, and this is the usual bootstrap over queries. What it
covers is the choice of queries, not the choice of documents, nor the seed of a training run.
"""

from collections.abc import Callable, Sequence

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
    labels, rows = np.unique(np.asarray(sources), return_inverse=True)
    num_sources = len(labels)
    if num_samples == 0 or num_sources < 2:
        return None
    sums_MC = np.stack([np.bincount(rows, weights=column, minlength=num_sources) for column in values_QM.T])
    counts_MC = np.broadcast_to(np.bincount(rows, minlength=num_sources), sums_MC.shape)
    result = stats.bootstrap(
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
    return result.confidence_interval.low, result.confidence_interval.high


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
