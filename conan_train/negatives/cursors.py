"""Where every query stands in its pool of negatives: what it trains on now, and what comes next.

The pools of a generation never change; all that moves while training is this: for each query N slots that
point into its pool, and the next place of the pool that nobody has used. That is small enough to be in every
checkpoint, so a resumed run meets the same negatives. A negative that has to go when its pool is used up
stays: an easy negative is better than a random one, and the next generation brings new ones.
"""

from dataclasses import dataclass

import numpy as np

from conan_train.negatives.config import RuleConfig
from conan_train.negatives.rule import has_become_easy

# Q queries, P places of a pool, N slots a query, B queries of a step

EMPTY = -1


@dataclass
class Cursors:
    """`slot_QN` (places in the pool, `EMPTY` where the pool had too few) and `next_Q` (first unused place),
    int32, over fixed pools.
    """

    pool_row_QP: np.ndarray
    """int32 corpus rows, hardest first, `EMPTY` after the last."""
    pool_score_QP: np.ndarray
    """float32 cosines at the time of mining: S_0 of whatever is chosen from this pool."""
    size_Q: np.ndarray
    """int32 negatives in each pool: counted once, for pools are far wider than what a step looks at."""
    slot_QN: np.ndarray
    next_Q: np.ndarray

    @classmethod
    def start(cls, pool_row_QP: np.ndarray, pool_score_QP: np.ndarray, *, num_negatives: int) -> "Cursors":
        """Every query on the first `num_negatives` places of its pool."""
        size_Q = (pool_row_QP != EMPTY).sum(1).astype(np.int32)
        slot_QN = np.tile(np.arange(num_negatives, dtype=np.int32), (len(size_Q), 1))
        return cls(
            pool_row_QP=pool_row_QP,
            pool_score_QP=pool_score_QP,
            size_Q=size_Q,
            slot_QN=np.where(slot_QN < size_Q[:, None], slot_QN, EMPTY).astype(np.int32),
            next_Q=np.minimum(size_Q, num_negatives).astype(np.int32),
        )

    def negatives(self, query_B: np.ndarray) -> np.ndarray:
        """Corpus rows [B, N] of the queries in rows `query_B`; `EMPTY` where there is none."""
        return self._at_slots(self.pool_row_QP, query_B, EMPTY)

    def chosen_scores(self, query_B: np.ndarray) -> np.ndarray:
        """S_0 of these, [B, N]; NaN where there is none."""
        return self._at_slots(self.pool_score_QP, query_B, np.nan)

    def advance(self, query_B: np.ndarray, score_BN: np.ndarray, rule: RuleConfig) -> int:
        """Applies the rule to the distinct queries `query_B` with today's cosines; returns how many negatives
        were replaced.
        """
        easy_BN = has_become_easy(self.chosen_scores(query_B), score_BN, rule)
        if not easy_BN.any():
            return 0
        size_B = self.size_Q[query_B]
        next_B = self.next_Q[query_B]
        if rule.version == "v1":
            # The first window is not where the first negatives end: it leaves the top ranks out.
            next_B = np.maximum(next_B, np.where(easy_BN.any(1), rule.first_rank, 0))
        candidate_BN = next_B[:, None] + np.cumsum(easy_BN, axis=1) - 1
        moved_BN = easy_BN & (candidate_BN < size_B[:, None])
        self.slot_QN[query_B] = np.where(moved_BN, candidate_BN, self.slot_QN[query_B])
        self.next_Q[query_B] = np.where(
            moved_BN.any(1), next_B + moved_BN.sum(1), self.next_Q[query_B]
        ).astype(np.int32)
        return int(moved_BN.sum())

    def _at_slots(self, pool_QP: np.ndarray, query_B: np.ndarray, missing: float) -> np.ndarray:
        """What `pool_QP` holds at the slots of some queries, [B, N]; `missing` where a slot is empty."""
        slot_BN = self.slot_QN[query_B]
        if pool_QP.shape[1] == 0:
            return np.full(slot_BN.shape, missing, pool_QP.dtype)
        # Only these cells are read, not the pools of the queries; an empty slot reads the last place.
        return np.where(slot_BN == EMPTY, missing, pool_QP[query_B[:, None], slot_BN])
