"""Which documents of a batch must not be negatives of which query.

In-batch negatives are drawn blindly: another query's positive may be this query's second answer, its
translation or its near duplicate. A document is excluded for a query if it is one of its known positives or
belongs to the group of one, whether or not that positive is in the batch. The query's own chosen positive is
kept by the loss.
"""

from collections.abc import Sequence

import numpy as np

# B queries, U documents

NO_GROUP = -1


def excluded_documents(
    row_U: np.ndarray,
    group_U: np.ndarray,
    *,
    known_rows: Sequence[Sequence[int]],
    known_groups: Sequence[Sequence[int]],
) -> np.ndarray:
    """bool [B, U], True where a document must not be a negative.

    `row_U` and `group_U` are the documents' corpus rows and group codes, `known_*` the same of all known
    positives of each query. Documents of group `NO_GROUP` share it with nobody.
    """
    excluded_BU = np.zeros((len(known_rows), len(row_U)), dtype=bool)
    grouped_U = group_U != NO_GROUP
    for query, (rows, groups) in enumerate(zip(known_rows, known_groups, strict=True)):
        same_group_U = grouped_U & np.isin(group_U, np.asarray(groups, dtype=np.int64))
        excluded_BU[query] = np.isin(row_U, np.asarray(rows, dtype=np.int64)) | same_group_U
    return excluded_BU
