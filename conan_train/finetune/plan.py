"""Which queries a step sees, and which of its positives each query trains on: pure functions of seed and
step.

Nothing is drawn from a running generator, so a resumed run sees the same batches, in constant time at any
step, and the queries of the steps to come are known to whoever mines for them.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

# B queries of a step, Q queries


def queries_at(step: int, *, num_queries: int, batch_size: int, seed: int) -> np.ndarray:
    """Rows of the queries of `step` (0-based), distinct, int64 [min(B, Q)]. Every epoch is a new order; what
    does not fill a batch at its end is left out.
    """
    size = min(batch_size, num_queries)
    epoch, place = divmod(step, num_queries // size)
    return _order(num_queries, seed, epoch)[place * size : (place + 1) * size]


def choose_positives(
    step: int, is_own_language: Sequence[np.ndarray], *, same_language: float, seed: int
) -> np.ndarray:
    """For each query of `step` the place of the positive that it trains on, int64 [B].

    `is_own_language` says of each positive of each query (bool, at least one) whether it is in the query's
    language. With probability `same_language` the choice is uniform among those, if there are any; else it is
    uniform among all.
    """
    uniform_B2 = np.random.default_rng([seed, 1, step]).random((len(is_own_language), 2))
    chosen = np.empty(len(is_own_language), np.int64)
    for query, (own, (toss, draw)) in enumerate(zip(is_own_language, uniform_B2, strict=True)):
        places = np.flatnonzero(own) if toss < same_language and own.any() else np.arange(len(own))
        chosen[query] = places[int(draw * len(places))]
    return chosen


@lru_cache(maxsize=2)
def _order(num_queries: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, epoch]).permutation(num_queries)
