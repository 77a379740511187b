"""What is worth encoding: against draws of the true scores, and in small cases by hand."""

import numpy as np
import pytest

from conan_train.negatives.depth.boundary import (
    chance_of_error,
    document_values,
    last_taken,
    most_shared,
    most_valuable,
)


def test_the_chance_of_error_is_how_often_the_better_guess_is_wrong() -> None:
    rng = np.random.default_rng(0)
    score_WK = np.array([[0.9, 0.8, 0.62, 0.6, 0.58, 0.3], [0.7, 0.69, 0.5, 0.2, 0.1, 0.0]], np.float32)
    last_W, threshold_W = np.array([0.6, np.nan]), np.array([0.82, 0.69])
    chance = chance_of_error(score_WK, last_W, threshold_W, error=0.05)
    true = score_WK[None] + 0.05 * rng.standard_normal((20000, *score_WK.shape))
    border = np.where(np.isnan(last_W), -1, last_W)
    taken = ((true >= border[:, None]) & (true <= threshold_W[:, None])).mean(0)
    assert np.abs(chance - np.minimum(taken, 1 - taken)).max() < 0.02
    assert chance[0, 3] == pytest.approx(0.5, abs=0.01) and chance[0, 5] < 1e-6


def test_the_last_that_is_taken_skips_what_is_over_the_threshold() -> None:
    nan = np.nan
    score_WE = np.array([[0.9, 0.8, 0.7, 0.6], [0.9, 0.8, nan, nan], [nan] * 4], np.float32)
    last = last_taken(score_WE, np.array([0.85, 0.95, nan]), number=2)
    assert last[0] == np.float32(0.7) and last[1] == np.float32(0.8) and np.isnan(last[2])
    assert np.isnan(last_taken(score_WE, np.array([0.85, 0.85, 0.5]), number=2)[1])


def test_a_document_counts_for_every_query_that_sees_it_and_missing_ones_for_none() -> None:
    values = document_values(np.array([[0.5, 0.2], [0.1, 0.4]]), np.array([[3, 1], [3, -1]]), num_documents=5)
    assert values.tolist() == pytest.approx([0, 0.2, 0, 0.6, 0])
    assert most_valuable(values, number=5).tolist() == [3, 1]
    assert most_valuable(values, number=1).tolist() == [3] and most_valuable(values, number=-1).tolist() == []


def test_positives_of_many_queries_come_first_and_fresh_ones_not_at_all() -> None:
    fresh = np.zeros(6, bool)
    fresh[2] = True
    rows = np.array([2, 2, 2, 5, 1, 5, 4, 1, 5])
    assert most_shared(rows, fresh, number=2).tolist() == [5, 1]
    assert most_shared(rows, fresh, number=9).tolist() == [5, 1, 4]
