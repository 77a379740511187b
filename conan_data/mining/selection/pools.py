"""The result of a selection: a row of negatives for each query, and what became of all candidates.

Legend: Q queries, P places in a pool.
"""

from dataclasses import dataclass

import numpy as np

NO_REASON = 255


@dataclass(frozen=True)
class Pools:
    """Negatives of Q queries, best first; -1 (rows, ranks) and NaN (scores) after the last one."""

    rows: np.ndarray
    """int32 [Q, P]: document rows."""
    scores: np.ndarray
    """float32 [Q, P]: cosines with the query."""
    ranks: np.ndarray
    """int32 [Q, P]: places among the candidates that are no answers, from 0."""
    positive_scores: np.ndarray
    """float32 [Q]; NaN for a query without a positive."""
    counts: dict[str, int]
    """Candidates looked at, by what became of them (`REASONS`)."""
    reasons: np.ndarray | None = None
    """uint8 [Q, P]: places in `REASONS`, `NO_REASON` after the last negative; None: all stand there by rank."""

    @property
    def sizes(self) -> np.ndarray:
        """int64: negatives of each query."""
        return (self.rows >= 0).sum(axis=1)

    @property
    def num_short(self) -> int:
        """Queries whose pool is not full."""
        return int((self.sizes < self.rows.shape[1]).sum())

    @classmethod
    def empty(cls, positive_scores_Q: np.ndarray, *, pool_size: int, counts: dict[str, int]) -> "Pools":
        """Pools without negatives, to be filled in."""
        shape = (len(positive_scores_Q), pool_size)
        return cls(
            rows=np.full(shape, -1, np.int32),
            scores=np.full(shape, np.nan, np.float32),
            ranks=np.full(shape, -1, np.int32),
            positive_scores=positive_scores_Q,
            counts=counts,
            reasons=np.full(shape, NO_REASON, np.uint8),
        )
