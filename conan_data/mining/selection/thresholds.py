"""The scores over which a document is taken for an answer that nobody labelled.

The positive score of a query with several positives is the *highest* by default. A set with one answer a
language has answers that the model cannot find yet; with the lowest, or the mean, such an answer pulls the
threshold below everything that is hard, and each label that is added empties the pool further. With the
highest, the rule for one positive is unchanged by adding another, unless that one is found more easily still.
The other answers, and what equals them, are excluded by name anyway. `lowest` is the cautious choice where
positives are few and labels incomplete.

The relative threshold is s - (1 - margin) * |s| for a positive score s: margin * s for the usual s > 0, and
still below s where it is negative (margin * s would lie above it there, and let everything through).

Legend: Q queries.
"""

from typing import Literal

import numpy as np

from conan_data.mining.arrays import RetrievalArrays
from conan_data.mining.config import SelectionConfig


def thresholds(positive_scores_Q: np.ndarray, margins_Q: np.ndarray) -> np.ndarray:
    """float32 [Q]: the relative thresholds; NaN where there is no positive."""
    scores = positive_scores_Q.astype(np.float64)
    return (scores - (1 - margins_Q) * np.abs(scores)).astype(np.float32)


def relative_thresholds(
    positive_scores_Q: np.ndarray, arrays: RetrievalArrays, selection: SelectionConfig
) -> np.ndarray:
    """float32 [Q]: the thresholds of each query's language, infinite where it has no margin; NaN where there
    is no positive.
    """
    by_language = np.array(
        [
            np.nan if margin is None else margin
            for margin in (
                selection.margin_by_language.get(language, selection.margin) for language in arrays.languages
            )
        ],
        np.float64,
    )
    margins_Q = by_language[arrays.query_languages]
    found_Q = thresholds(positive_scores_Q, margins_Q)
    return np.where(np.isnan(margins_Q) & ~np.isnan(positive_scores_Q), np.float32(np.inf), found_Q)


def absolute_thresholds(positive_scores_Q: np.ndarray, selection: SelectionConfig) -> np.ndarray:
    """float32 [Q]: the positive scores less the absolute margin, infinite without one."""
    if selection.absolute_margin is None:
        return np.full(len(positive_scores_Q), np.inf, np.float32)
    return (positive_scores_Q.astype(np.float64) - selection.absolute_margin).astype(np.float32)


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
