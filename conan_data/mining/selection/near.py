"""Near duplicates by the vectors that the search has read already: of a positive, and of each other.

Equal texts are found by their codes. A page with another date in its footer is not equal, and the model puts it
where it puts the page: as a negative of a query that the page answers it is a false one, and ten copies of it in
a pool are one negative. Between two documents the cosine says so without their texts.

A candidate is near a positive if their cosine is over the one bound, and a near duplicate if its cosine with a
better candidate *that stays* is over the other; so of a chain in which only neighbours are near each other,
every second one stays. The cost is one small matrix product a query, of the candidates that got this far.

Legend: Q queries, K candidates of a query, S of them that are compared, D dimensions.
"""

from collections.abc import Callable

import numpy as np

Vectors = Callable[[np.ndarray], np.ndarray]
"""Vectors [n, D] of unit length of documents by their rows (integers [n])."""


def find_near(
    rows_QK: np.ndarray,
    left_QK: np.ndarray,
    *,
    positive_offsets: np.ndarray,
    positive_rows: np.ndarray,
    vectors: Vectors,
    near_positive: float | None,
    near_duplicate: float | None,
) -> tuple[np.ndarray, np.ndarray]:
    """bool [Q, K] twice: who of the candidates `left_QK` is near a positive, and who of the others is near a
    better one that stays.
    """
    positive_QK, duplicate_QK = np.zeros(rows_QK.shape, bool), np.zeros(rows_QK.shape, bool)
    for query in np.flatnonzero(left_QK.any(axis=1)):
        places_S = np.flatnonzero(left_QK[query])
        vectors_SD = vectors(rows_QK[query, places_S]).astype(np.float32)
        if near_positive is not None:
            own = positive_rows[positive_offsets[query] : positive_offsets[query + 1]]
            near_S = (vectors_SD @ vectors(own).astype(np.float32).T).max(axis=1) > near_positive
            positive_QK[query, places_S[near_S]] = True
            places_S, vectors_SD = places_S[~near_S], vectors_SD[~near_S]
        if near_duplicate is not None:
            repeated_S = _near_a_better_one(vectors_SD @ vectors_SD.T > near_duplicate)
            duplicate_QK[query, places_S[repeated_S]] = True
    return positive_QK, duplicate_QK


def _near_a_better_one(near_SS: np.ndarray) -> np.ndarray:
    """bool [S]: greedily from the first on, who is near an earlier one that is not."""
    repeated_S = np.zeros(len(near_SS), bool)
    for place in range(len(near_SS)):
        if not repeated_S[place]:
            repeated_S[place + 1 :] |= near_SS[place, place + 1 :]
    return repeated_S
