"""How many of the negatives are answers that nobody labelled, from a sample of them that was judged.

A plain sample spends its labels where there is nothing to find: the false ones are near the top. So negatives
are cut into strata of equal size by score over positive score, and as many are drawn from each. The rate is the
mean of the strata's rates, weighted by their shares. Its interval is that of Korn and Graubard (1998,
"Confidence intervals for proportions with small expected number of positive counts"): Clopper and Pearson's for
as many independent labels as the weights leave, n = 1 / sum(W_h^2 / n_h), which stays honest where no false
negative was found at all. It is wider than need be where the rates of the strata differ.

Labels must be a random sample within each stratum; a stratum without any is left out, and its share is told.

Legend: M pairs, n labels, H strata.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Rate:
    """A share and its interval; all NaN where there is no label."""

    value: float
    low: float
    high: float
    num_labels: int
    covered: float
    """Share of the pairs that lie in strata with labels."""

    def to_json(self) -> dict[str, Any]:
        return {name: None if value != value else value for name, value in asdict(self).items()}


def strata_of(ratios_M: np.ndarray, *, num_strata: int) -> np.ndarray:
    """int64 [M]: strata of equal size by ascending ratio; one more at the end for pairs without a score."""
    known_M = ~np.isnan(ratios_M)
    edges = np.zeros(0)
    if known_M.any():
        edges = np.unique(np.quantile(ratios_M[known_M], np.linspace(0, 1, num_strata + 1)[1:-1]))
    return np.where(known_M, np.searchsorted(edges, ratios_M, side="left"), len(edges) + 1)


def draw_sample(strata_M: np.ndarray, *, size: int, seed: int) -> np.ndarray:
    """int64: `size` pairs, or all, evenly from the strata, in random order; what a small stratum cannot give
    is drawn from the others.
    """
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(np.flatnonzero(strata_M == stratum)) for stratum in np.unique(strata_M)]
    turns = np.concatenate([np.arange(len(order)) for order in orders])
    chosen = np.concatenate(orders)[np.argsort(turns, kind="stable")[:size]]
    return rng.permutation(chosen)


def false_rate(
    labels_n: np.ndarray, strata_n: np.ndarray, strata_M: np.ndarray, *, confidence: float
) -> Rate:
    """The rate of all M pairs from labels (1 for a false negative, 0 for none) of n of them."""
    if not len(labels_n):
        return Rate(np.nan, np.nan, np.nan, 0, 0.0)
    found, places = np.unique(strata_n, return_inverse=True)
    sizes_H = np.array([(strata_M == stratum).sum() for stratum in found], np.float64)
    counts_H = np.bincount(places).astype(np.float64)
    weights_H = sizes_H / sizes_H.sum()
    rate = float((weights_H * np.bincount(places, weights=labels_n) / counts_H).sum())
    size = 1 / float((weights_H**2 / counts_H).sum())
    low, high = interval(rate, size, confidence=confidence)
    return Rate(rate, low, high, len(labels_n), float(sizes_H.sum() / len(strata_M)))


def interval(rate: float, size: float, *, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share among `size` labels, which need not be a whole number."""
    hits, tail = rate * size, (1 - confidence) / 2
    low = 0.0 if rate <= 0 else float(stats.beta.ppf(tail, hits, size - hits + 1))
    high = 1.0 if rate >= 1 else float(stats.beta.ppf(1 - tail, hits + 1, size - hits))
    return low, high
