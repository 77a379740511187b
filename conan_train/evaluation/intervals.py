"""How sure a mean over queries is: percentile bootstrap intervals.

A query and its translations fail together. To draw them one by one would count one hard question as many and
make the interval too narrow, so what is drawn is the source query, with all values that belong to it. In the
pool of one pair of languages a source has one query, and this is the usual bootstrap over queries. What it
covers is the choice of queries, not the choice of documents, nor the seed of a training run.
"""

from collections.abc import Sequence

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


def _ratio(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
    return sums.sum(axis=axis) / counts.sum(axis=axis)
