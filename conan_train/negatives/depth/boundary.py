"""Which documents are worth encoding again: those on which the choice of negatives hangs.

With carried vectors the scores of a query's candidates are known up to an error, whose size is known from
documents that were held out. A candidate far above the last place that is taken, or far below it, stays on its
side whatever its true score is; so does one far from the threshold of false negatives. Only near these two borders
can a document's own vector change what is chosen. Its *value* is the number of choices that are expected to be
wrong without it, over all queries that see it: a document near the border of fifty queries comes before one near
the border of one.

Legend: W queries, K candidates of a query, N documents.
"""

import numpy as np
import torch

# A query whose pool is shorter than the places to fill takes whatever passes the threshold.
_NO_BORDER = -2.0


def chance_of_error(
    score_WK: np.ndarray, last_W: np.ndarray, threshold_W: np.ndarray, *, error: float
) -> np.ndarray:
    """float32 [W, K]: how likely it is that each candidate is on the wrong side, between 0 and 0.5.

    A candidate is taken if its true score is at least `last_W` (that of the last negative that is taken, NaN where
    places stay empty) and at most `threshold_W`; true scores are normal around `score_WK` with standard deviation
    `error`.
    """
    last_W = np.where(np.isnan(last_W), _NO_BORDER, last_W)
    over_WK = _below((score_WK - last_W[:, None]) / max(error, 1e-6))
    under_WK = _below((threshold_W[:, None] - score_WK) / max(error, 1e-6))
    taken_WK = over_WK * under_WK
    return np.minimum(taken_WK, 1 - taken_WK)


def document_values(chance_WK: np.ndarray, row_WK: np.ndarray, *, num_documents: int) -> np.ndarray:
    """float64 [N]: expected wrong choices that hang on each document. `row_WK` are documents, -1 for none."""
    there = row_WK >= 0
    return np.bincount(row_WK[there], weights=chance_WK[there], minlength=num_documents)


def most_valuable(value_N: np.ndarray, *, number: int) -> np.ndarray:
    """int64: at most `number` rows, all of positive value, the highest first, then the lowest row."""
    rows = np.flatnonzero(value_N > 0)
    return rows[np.argsort(-value_N[rows], kind="stable")[: max(0, number)]]


def most_shared(row_E: np.ndarray, fresh_N: np.ndarray, *, number: int) -> np.ndarray:
    """int64: at most `number` distinct rows of `row_E` that are not fresh, the most frequent first, then the
    lowest.
    """
    rows, times = np.unique(row_E[~fresh_N[row_E]], return_counts=True)
    return rows[np.argsort(-times, kind="stable")[: max(0, number)]].astype(np.int64)


def last_taken(score_WE: np.ndarray, threshold_W: np.ndarray, *, number: int) -> np.ndarray:
    """float32 [W]: score of the last of the `number` best candidates that are not over the threshold; NaN where
    there are fewer. Scores descend, NaN after the last.
    """
    allowed_WE = score_WE <= threshold_W[:, None]
    place_WE = np.cumsum(allowed_WE, axis=1)
    is_last_WE = allowed_WE & (place_WE == number)
    column_W = is_last_WE.argmax(axis=1)
    return np.where(is_last_WE.any(axis=1), score_WE[np.arange(len(score_WE)), column_W], np.nan)


def _below(deviations: np.ndarray) -> np.ndarray:
    """The normal distribution function, float32."""
    return torch.special.ndtr(torch.from_numpy(deviations.astype(np.float32))).numpy()
