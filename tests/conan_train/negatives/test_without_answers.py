"""Negatives that somebody else mined lose what is never a negative, and nothing else."""

import numpy as np

from conan_data.mining.arrays import RetrievalArrays
from conan_train.negatives.cursors import EMPTY
from conan_train.negatives.generation import Generation, without_answers


def test_answers_and_the_query_itself_are_left_out(caplog):
    arrays = RetrievalArrays(
        positive_offsets=np.array([0, 1, 2]),
        positive_rows=np.array([0, 1], np.int32),
        groups=np.array([-1, 7, -1, -1, 7, -1], np.int32),
        texts=np.array([0, 1, 2, 2, 4, 5], np.int32),
        query_languages=np.zeros(2, np.int32),
        languages=("en",),
        own_offsets=np.array([0, 1, 1]),
        own_rows=np.array([2], np.int32),
    )
    row_QP = np.array([[3, 4, 2, 5], [4, 3, 0, EMPTY]], np.int32)
    score_QP = np.array([[0.9, 0.8, 0.7, 0.6], [0.9, 0.8, 0.7, np.nan]], np.float32)
    given = Generation("given", 0, row_QP, score_QP)
    found = without_answers(given, arrays)
    assert found.row_QP.tolist() == [[4, 5, EMPTY, EMPTY], [3, 0, EMPTY, EMPTY]]
    np.testing.assert_array_equal(
        found.score_QP, np.array([[0.8, 0.6, np.nan, np.nan], [0.8, 0.7, np.nan, np.nan]], np.float32)
    )
    assert "given: 3 negatives of 2 queries are answers or the query itself" in caplog.text
    assert without_answers(found, arrays) is found
