"""The filters, in their order.

The nearest documents that are not labelled are where the hard negatives are, and the unlabelled answers too.
A pool that holds answers teaches the model to push them away, so every filter errs on the side of dropping,
and a pool is never filled up with random documents: a query with few candidates left has a short pool, and
the counts say why. In this order, each candidate counted under the first reason that applies:

1. `known-positive`: it is labelled as an answer.
2. `same-group`: it says the same as an answer (its translation, its near duplicate).
   `query-itself`: it is the query: it has its id, or that of the query it is a translation of (as in ArguAna and in
   sets of duplicate questions), or its text, or it says the same as such a document. It scores highest of all
   where nobody labelled it, and no margin tells it from a hard negative.
   Together these are the *answers*; the rank of a candidate is its place (from 0) among those that are no answers,
   so that `skip` and `depth` mean the same for one positive as for twenty-five.
3. `false-negative`, `absolute-margin`, `ceiling`: it scores over the threshold that is relative to the
   positive score (NV-Retriever's TopK-PercPos), less than a margin under the positive score, or over a fixed
   score; so it is likely to be an answer that nobody labelled. Candidates within the band of a judge, around
   the lower of the first two thresholds, are left to the judge.
4. `floor`: it scores so low that it teaches nothing.
5. `rank-window`: its rank is below `skip`. Candidates from rank `depth` on are not looked at, and not
   counted.
6. `same-group-again`: it says the same as a candidate with a better rank, whatever became of that one.
7. `duplicate-text`: its text is that of a positive or of a candidate with a better rank, whatever became of
   that one.
8. `near-positive`, `near-duplicate`: its vector is too near that of a positive, or of a better candidate that
   got this far and stays (see `near`).
9. `judged-positive`: the judge calls it an answer. `judge-failed`: the judge gave no verdict, so it is dropped.
10. `beyond-pool` or `not-sampled`: the pool is full, of the best or of those that were drawn (see `draw`).

What stays is `kept:judged` if a judge let it through, else `kept:rank` or `kept:sampled`. A query without a
positive gets no pool: nothing can be said of its candidates.

Legend: Q queries, K candidates of a query, P places in a pool, N documents.
"""

import math
from collections.abc import Callable

import numpy as np

from conan_data.mining.arrays import RetrievalArrays, contains
from conan_data.mining.config import SelectionConfig
from conan_data.mining.selection.draw import draw_priorities
from conan_data.mining.selection.near import Vectors, find_near
from conan_data.mining.selection.pools import Pools
from conan_data.mining.selection.reasons import CODES, REASONS
from conan_data.mining.selection.thresholds import absolute_thresholds, relative_thresholds

Verdicts = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""For n (query, document) rows int8 [n]: 1 for an answer, 0 for none, -1 where there is no verdict."""
_NOT_LOOKED_AT = 255


def select(
    rows_QK: np.ndarray,
    scores_QK: np.ndarray,
    *,
    arrays: RetrievalArrays,
    selection: SelectionConfig,
    positive_scores_Q: np.ndarray,
    vectors: Vectors | None = None,
    verdicts: Verdicts | None = None,
) -> Pools:
    """Pools of the candidates `rows_QK` (int32, best first, -1 for none) with their scores, for the queries of
    `arrays`.

    `vectors` are needed for `near_positive` and `near_duplicate`, `verdicts` for a band; query rows are those of
    `arrays`. A positive score is NaN exactly where the query has no positive.
    """
    reason_QK, ranks_QK, judged_QK = _filtered(
        rows_QK, scores_QK, arrays=arrays, selection=selection, positive_scores_Q=positive_scores_Q
    )
    if selection.near_positive is not None or selection.near_duplicate is not None:
        assert vectors is not None, "near duplicates are found by vectors"
        near = find_near(
            rows_QK,
            reason_QK == CODES["kept:rank"],
            positive_offsets=arrays.positive_offsets,
            positive_rows=arrays.positive_rows,
            vectors=vectors,
            near_positive=selection.near_positive,
            near_duplicate=selection.near_duplicate,
        )
        for name, near_QK in zip(("near-positive", "near-duplicate"), near):
            reason_QK[near_QK] = CODES[name]
    if selection.has_band:
        assert verdicts is not None, "a band is left to a judge"
        _judge(rows_QK, reason_QK, judged_QK & (reason_QK == CODES["kept:rank"]), verdicts)
    _fill(rows_QK, scores_QK, reason_QK, arrays=arrays, selection=selection)
    return _pools(rows_QK, scores_QK, ranks_QK, reason_QK, positive_scores_Q, selection.pool_size)


def _filtered(
    rows_QK: np.ndarray,
    scores_QK: np.ndarray,
    *,
    arrays: RetrievalArrays,
    selection: SelectionConfig,
    positive_scores_Q: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Filters 1 to 7: the reasons (uint8) and ranks (int64), and who is within the judge's band, each [Q, K]."""
    valid_QK = rows_QK >= 0
    documents_QK = np.where(valid_QK, rows_QK, 0)
    owners, positives = arrays.positive_owners(), arrays.positive_rows
    groups_QK = np.where(valid_QK, arrays.groups[documents_QK], -1)
    texts_QK = np.where(valid_QK, arrays.texts[documents_QK], -1)
    known_QK = contains(owners, positives, documents_QK)
    group_QK = contains(owners, arrays.groups[positives], groups_QK)
    own_owners, own_rows = arrays.own()
    itself_QK = contains(own_owners, own_rows, documents_QK)
    itself_QK |= contains(own_owners, arrays.groups[own_rows], groups_QK)
    itself_QK |= contains(own_owners, arrays.texts[own_rows], texts_QK)
    answer_QK = valid_QK & (known_QK | group_QK | itself_QK)
    ranks_QK = np.cumsum(valid_QK & ~answer_QK, axis=1) - 1
    ranks_QK[answer_QK] += 1

    relative_Q = relative_thresholds(positive_scores_Q, arrays, selection)
    absolute_Q = absolute_thresholds(positive_scores_Q, selection)
    judged_QK = np.zeros(rows_QK.shape, bool)
    if selection.has_band:
        limit_QK = np.minimum(relative_Q, absolute_Q).astype(np.float64)[:, None]
        judged_QK = (scores_QK > limit_QK - selection.band_below) & (
            scores_QK <= limit_QK + selection.band_above
        )
    none_QK = np.zeros(rows_QK.shape, bool)
    filters = {
        "known-positive": known_QK,
        "same-group": group_QK,
        "query-itself": itself_QK,
        "false-negative": (scores_QK > relative_Q[:, None]) & ~judged_QK,
        "absolute-margin": (scores_QK > absolute_Q[:, None]) & ~judged_QK,
        "ceiling": none_QK if selection.ceiling is None else scores_QK > np.float32(selection.ceiling),
        "floor": none_QK if selection.floor is None else scores_QK < np.float32(selection.floor),
        "rank-window": ranks_QK < selection.skip,
        "same-group-again": _repeats(groups_QK) if selection.one_per_group else none_QK,
        "duplicate-text": _repeats(texts_QK) | contains(owners, arrays.texts[positives], texts_QK),
    }
    looked_at_QK = valid_QK & (ranks_QK < selection.depth) & ~np.isnan(positive_scores_Q)[:, None]
    reason_QK = np.select(
        [~looked_at_QK, *filters.values()],
        [np.uint8(code) for code in (_NOT_LOOKED_AT, *(CODES[name] for name in filters))],
        default=np.uint8(CODES["kept:rank"]),
    )
    return reason_QK, ranks_QK, judged_QK


def _judge(rows_QK: np.ndarray, reason_QK: np.ndarray, asked_QK: np.ndarray, verdicts: Verdicts) -> None:
    """Replaces the reasons of the candidates that the judge is asked about, in place."""
    queries, columns = np.nonzero(asked_QK)
    if len(queries):
        found = verdicts(queries, rows_QK[queries, columns])
        names = ("judge-failed", "kept:judged", "judged-positive")
        reason_QK[queries, columns] = np.array([CODES[name] for name in names], np.uint8)[found + 1]


def _fill(
    rows_QK: np.ndarray,
    scores_QK: np.ndarray,
    reason_QK: np.ndarray,
    *,
    arrays: RetrievalArrays,
    selection: SelectionConfig,
) -> None:
    """Marks those for whom there is no place, in place."""
    left_QK = reason_QK <= CODES["kept:judged"]
    if selection.choose == "top":
        reason_QK[left_QK & (np.cumsum(left_QK, axis=1) > selection.pool_size)] = CODES["beyond-pool"]
        return
    assert arrays.query_keys is not None, "a draw needs the keys of the queries"
    priority_QK = draw_priorities(
        rows_QK,
        scores_QK,
        arrays.query_keys,
        seed=selection.seed,
        temperature=selection.temperature if selection.choose == "softmax" else math.inf,
    )
    order_QK = np.argsort(np.where(left_QK, -priority_QK, np.inf), axis=1, kind="stable")
    place_QK = np.empty_like(order_QK)
    np.put_along_axis(place_QK, order_QK, np.arange(order_QK.shape[1])[None], axis=1)
    reason_QK[left_QK & (reason_QK == CODES["kept:rank"])] = CODES["kept:sampled"]
    reason_QK[left_QK & (place_QK >= selection.pool_size)] = CODES["not-sampled"]


def _pools(
    rows_QK: np.ndarray,
    scores_QK: np.ndarray,
    ranks_QK: np.ndarray,
    reason_QK: np.ndarray,
    positive_scores_Q: np.ndarray,
    pool_size: int,
) -> Pools:
    kept_QK = reason_QK <= CODES["kept:judged"]
    queries, columns = np.nonzero(kept_QK)
    places = (np.cumsum(kept_QK, axis=1) - 1)[queries, columns]
    tally = np.bincount(reason_QK.ravel(), minlength=_NOT_LOOKED_AT + 1)
    counts = {reason: int(tally[code]) for code, reason in enumerate(REASONS)}
    pools = Pools.empty(positive_scores_Q, pool_size=pool_size, counts=counts)
    for values_QP, found_QK in (
        (pools.rows, rows_QK),
        (pools.scores, scores_QK),
        (pools.ranks, ranks_QK),
        (pools.reasons, reason_QK),
    ):
        assert values_QP is not None
        values_QP[queries, places] = found_QK[queries, columns]
    return pools


def _repeats(codes_QK: np.ndarray) -> np.ndarray:
    """bool [Q, K]: whether the same code stands further left in the row; a negative code repeats nothing."""
    order_QK = np.argsort(codes_QK, axis=1, kind="stable")
    sorted_QK = np.take_along_axis(codes_QK, order_QK, axis=1)
    again_QK = np.zeros(codes_QK.shape, bool)
    np.put_along_axis(
        again_QK, order_QK[:, 1:], (sorted_QK[:, 1:] == sorted_QK[:, :-1]) & (sorted_QK[:, 1:] >= 0), axis=1
    )
    return again_QK
