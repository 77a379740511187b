"""Which of a query's nearest documents are taken as negatives: a pure function of integer arrays.

The nearest documents that are not labelled are where the hard negatives are, and the unlabelled answers too.
A pool that holds answers teaches the model to push them away, so every filter errs on the side of dropping,
and a pool is never filled up with random documents: a query with few candidates left has a short pool, and
the counts say why. In this order, each candidate counted under the first reason that applies:

1. `known-positive`: it is labelled as an answer.
2. `same-group`: it says the same as an answer (its translation, its near duplicate). Together these are the
   *answers*; the rank of a
   candidate is its place (from 0) among those that are no answers, so that `skip` and `depth` mean the same
   for one positive as for
   twenty-five.
3. `false-negative`: it scores over the threshold, so it is likely to be an answer that nobody labelled
   (NV-Retriever's TopK-PercPos).
4. `rank-window`: its rank is below `skip`. Candidates from rank `depth` on are not looked at, and not
   counted.
5. `duplicate-text`: its text is that of a positive or of a candidate with a better rank, whatever became of
   that one.
6. `beyond-pool`: the pool is full.

The positive score of a query with several positives is the *highest* by default. A set with one answer a
language has answers that the model cannot find yet; with the lowest, or the mean, such an answer pulls the
threshold below everything that is hard, and each label that is added empties the pool further. With the
highest, the rule for one positive is unchanged by adding another, unless that one is found more easily still.
The other answers, and what equals them, are excluded by the first two filters anyway. `lowest` is the
cautious choice where positives are few and labels incomplete.

The threshold is s - (1 - margin) * |s| for a positive score s: margin * s for the usual s > 0, and still
below s where it is negative (margin * s would lie above it there, and let everything through). A query
without a positive gets no pool: nothing can be said of its candidates.

Legend: Q queries, K candidates of a query, P places in a pool, N documents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

REASONS = (
    "kept:rank",
    "known-positive",
    "same-group",
    "false-negative",
    "rank-window",
    "duplicate-text",
    "beyond-pool",
)
"""What becomes of a candidate; the first is what stands in a pool."""
_KEPT, _POSITIVE, _GROUP, _FALSE, _WINDOW, _DUPLICATE, _BEYOND = range(len(REASONS))
_NOT_LOOKED_AT = 255


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

    @property
    def sizes(self) -> np.ndarray:
        """int64: negatives of each query."""
        return (self.rows >= 0).sum(axis=1)

    @property
    def num_short(self) -> int:
        """Queries whose pool is not full."""
        return int((self.sizes < self.rows.shape[1]).sum())


def select(
    rows_QK: np.ndarray,
    scores_QK: np.ndarray,
    *,
    positive_offsets: np.ndarray,
    positive_rows: np.ndarray,
    positive_scores_Q: np.ndarray,
    groups_N: np.ndarray,
    texts_N: np.ndarray,
    thresholds_Q: np.ndarray,
    pool_size: int,
    depth: int,
    skip: int = 0,
) -> Pools:
    """Pools of the candidates `rows_QK` (int32, best first, -1 for none) with their scores.

    The positives of query q are `positive_rows[positive_offsets[q]:positive_offsets[q + 1]]`. `groups_N` and
    `texts_N` are int codes of the documents' groups and texts, -1 for none. A row of `thresholds_Q` is NaN
    exactly where the query has no positive.
    """
    num_queries = len(rows_QK)
    valid_QK = rows_QK >= 0
    documents_QK = np.where(valid_QK, rows_QK, 0)
    owners = np.repeat(np.arange(num_queries), np.diff(positive_offsets))
    known_QK = _contains(owners, positive_rows, documents_QK)
    group_QK = _contains(owners, groups_N[positive_rows], groups_N[documents_QK])
    text_QK = texts_N[documents_QK]

    answer_QK = valid_QK & (known_QK | group_QK)
    ranks_QK = np.cumsum(valid_QK & ~answer_QK, axis=1) - 1
    ranks_QK[answer_QK] += 1
    reason_QK = np.select(
        [
            ~valid_QK | (ranks_QK >= depth) | np.isnan(thresholds_Q)[:, None],
            known_QK,
            group_QK,
            scores_QK > thresholds_Q[:, None],
            ranks_QK < skip,
            _repeats(np.where(valid_QK, text_QK, -1)) | _contains(owners, texts_N[positive_rows], text_QK),
        ],
        [_NOT_LOOKED_AT, _POSITIVE, _GROUP, _FALSE, _WINDOW, _DUPLICATE],
        default=_KEPT,
    )
    kept_QK = reason_QK == _KEPT
    places_QK = np.cumsum(kept_QK, axis=1) - 1
    reason_QK[kept_QK & (places_QK >= pool_size)] = _BEYOND
    queries, columns = np.nonzero(reason_QK == _KEPT)
    places = places_QK[queries, columns]
    pools = Pools(
        rows=np.full((num_queries, pool_size), -1, np.int32),
        scores=np.full((num_queries, pool_size), np.nan, np.float32),
        ranks=np.full((num_queries, pool_size), -1, np.int32),
        positive_scores=positive_scores_Q,
        counts={reason: int((reason_QK == code).sum()) for code, reason in enumerate(REASONS)},
    )
    pools.rows[queries, places] = rows_QK[queries, columns]
    pools.scores[queries, places] = scores_QK[queries, columns]
    pools.ranks[queries, places] = ranks_QK[queries, columns]
    return pools


def thresholds(positive_scores_Q: np.ndarray, margins_Q: np.ndarray) -> np.ndarray:
    """float32 [Q]: the scores over which a document is taken for an answer; NaN where there is no positive."""
    scores = positive_scores_Q.astype(np.float64)
    return (scores - (1 - margins_Q) * np.abs(scores)).astype(np.float32)


def reduce_positive_scores(
    scores: np.ndarray, offsets: np.ndarray, *, reference: Literal["highest", "mean", "lowest"]
) -> np.ndarray:
    """float32 [Q]: one score a query from those of its positives (`scores[offsets[q]:offsets[q + 1]]`); NaN
    for none.
    """
    sizes = np.diff(offsets)
    reduced = np.full(len(sizes), np.nan, np.float32)
    filled = sizes > 0
    starts = offsets[:-1][filled]
    if len(starts):
        function = {"highest": np.maximum, "mean": np.add, "lowest": np.minimum}[reference]
        values = function.reduceat(scores.astype(np.float64), starts)
        reduced[filled] = values / sizes[filled] if reference == "mean" else values
    return reduced


def add_counts(total: dict[str, int], more: Mapping[str, int]) -> None:
    """Adds the counts of one block of queries to `total`, in place."""
    for reason, count in more.items():
        total[reason] = total.get(reason, 0) + count


def _contains(owners: np.ndarray, codes: np.ndarray, wanted_QK: np.ndarray) -> np.ndarray:
    """bool [Q, K]: whether (query, wanted code) is among the (owner, code) pairs; a negative code equals
    nothing.
    """
    known = codes >= 0
    if not known.any():
        return np.zeros(wanted_QK.shape, bool)
    width = max(int(codes.max()), int(wanted_QK.max(initial=0))) + 1
    pairs = np.unique(owners[known].astype(np.int64) * width + codes[known])
    keys_QK = np.arange(len(wanted_QK), dtype=np.int64)[:, None] * width + wanted_QK
    places_QK = np.minimum(np.searchsorted(pairs, keys_QK), len(pairs) - 1)
    return (pairs[places_QK] == keys_QK) & (wanted_QK >= 0)


def _repeats(codes_QK: np.ndarray) -> np.ndarray:
    """bool [Q, K]: whether the same code stands further left in the row; a negative code repeats nothing."""
    order_QK = np.argsort(codes_QK, axis=1, kind="stable")
    sorted_QK = np.take_along_axis(codes_QK, order_QK, axis=1)
    again_QK = np.zeros(codes_QK.shape, bool)
    np.put_along_axis(
        again_QK, order_QK[:, 1:], (sorted_QK[:, 1:] == sorted_QK[:, :-1]) & (sorted_QK[:, 1:] >= 0), axis=1
    )
    return again_QK
