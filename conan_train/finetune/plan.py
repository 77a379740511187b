"""Which queries a step sees, and which of its positives each query trains on: pure functions of seed and step.

Nothing is drawn from a running generator, so a resumed run sees the same batches, in constant time at any step, and the queries of the steps to
come are known to whoever mines for them.
"""

from functools import lru_cache

import numpy as np

# B queries of a step, Q queries


def queries_at(step: int, *, num_queries: int, batch_size: int, seed: int) -> np.ndarray:
    """Rows of the queries of `step` (0-based), distinct, int64 [min(B, Q)]. Every epoch is a new order; what does not fill a batch at its end is left out."""
    size = min(batch_size, num_queries)
    epoch, place = divmod(step, num_queries // size)
    return _order(num_queries, seed, epoch)[place * size : (place + 1) * size]


def choose_positives(step: int, num_positives_B: np.ndarray, *, seed: int) -> np.ndarray:
    """For each query of `step` the place of one of its positives, uniform in [0, num_positives), int64 [B]."""
    uniform_B = np.random.default_rng([seed, 1, step]).random(len(num_positives_B))
    return np.minimum((uniform_B * num_positives_B).astype(np.int64), num_positives_B - 1)


@lru_cache(maxsize=2)
def _order(num_queries: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, epoch]).permutation(num_queries)
