"""Which documents of a batch must not be negatives of which query.

In-batch negatives are drawn blindly: another query's positive may be this query's second answer, its
translation or its near duplicate. A document is excluded for a query if it is one of its known positives or
belongs to the group of one, whether or not that positive is in the batch. The query's own chosen positive is
kept by the loss.
"""

from collections.abc import Sequence

import numpy as np

# B queries, U documents, K known positives of all queries together

NO_GROUP = -1


def excluded_documents(
    row_U: np.ndarray,
    group_U: np.ndarray,
    *,
    known_rows: Sequence[Sequence[int] | np.ndarray],
    known_groups: Sequence[Sequence[int] | np.ndarray],
) -> np.ndarray:
    """bool [B, U], True where a document must not be a negative.

    `row_U` and `group_U` are the documents' corpus rows and group codes, `known_*` the same of all known
    positives of each query. Documents of group `NO_GROUP` share it with nobody.
    """
    excluded_BU = np.zeros((len(known_rows), len(row_U)), dtype=bool)
    _mark(excluded_BU, row_U, known_rows)
    _mark(excluded_BU, np.where(group_U == NO_GROUP, _NOBODY, group_U), known_groups)
    return excluded_BU


_NOBODY = np.iinfo(np.int64).min


def _mark(excluded_BU: np.ndarray, value_U: np.ndarray, known: Sequence[Sequence[int] | np.ndarray]) -> None:
    """Sets the cells where a document's value is among the query's known ones."""
    known_K = np.concatenate([np.asarray(values, dtype=np.int64) for values in known])
    query_K = np.repeat(np.arange(len(known)), [len(values) for values in known])
    order_U = np.argsort(value_U, kind="stable")
    sorted_U = value_U[order_U]
    first_K = np.searchsorted(sorted_U, known_K, side="left")
    count_K = np.searchsorted(sorted_U, known_K, side="right") - first_K
    within = np.arange(count_K.sum()) - np.repeat(count_K.cumsum() - count_K, count_K)
    excluded_BU[np.repeat(query_K, count_K), order_U[np.repeat(first_K, count_K) + within]] = True
