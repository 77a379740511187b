"""Draws negatives from all that passed the filters, instead of taking the hardest.

The top of a list is where the unlabelled answers are, and the same few documents for every query of a topic. A
draw must not depend on which queries happen to be mined together, or on the block size: so each (seed, query,
document) has a random number of its own, a hash (Steele et al. 2014, "Fast splittable pseudorandom number
generators", the finaliser), and no generator has a state.

A weighted draw without replacement is a top-k of log weight plus Gumbel noise (Kool et al. 2019, "Stochastic
beams and where to find them"); with softmax weights the log weight is score / temperature, with uniform ones 0.

Legend: Q queries, K candidates of a query.
"""

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def draw_priorities(
    rows_QK: np.ndarray, scores_QK: np.ndarray, query_keys_Q: np.ndarray, *, seed: int, temperature: float
) -> np.ndarray:
    """float64 [Q, K]: the highest of those that are left are drawn. An infinite temperature makes all equal."""
    keys_Q = _mix(query_keys_Q.astype(np.uint64) ^ _mix(np.full(1, seed, np.uint64) + _GOLDEN))
    bits_QK = _mix(keys_Q[:, None] + (rows_QK.astype(np.int64) + 1).astype(np.uint64) * _GOLDEN)
    uniform_QK = ((bits_QK >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return scores_QK.astype(np.float64) / temperature - np.log(-np.log(uniform_QK))


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
