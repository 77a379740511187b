"""Negatives before anything was mined: other documents, drawn by the number of the query.

A batch of thirty labelled texts has hardly thirty labels in it, and nothing says which of the others are hard
until a model has been asked. Random ones are right at least: never a known answer, never of its group, never the query itself.
"""

import numpy as np

from conan_data.mining.arrays import RetrievalArrays, never_negative
from conan_train.negatives.cursors import EMPTY

# Q queries, C of them at a time, P negatives of a query, D draws of a query

_SPARE = 4
_CHUNK = 1 << 16


def random_negatives(arrays: RetrievalArrays, size: int, *, seed: int) -> np.ndarray:
    """int32 corpus rows [Q, P], P = `size` at most, distinct in a row, `EMPTY` after the last where a query is
    short of them; a pure function of its arguments.
    """
    row_QP = np.full((arrays.num_queries, size), EMPTY, np.int32)
    if size == 0:
        return row_QP
    rng = np.random.default_rng([seed, 3])
    for start in range(0, arrays.num_queries, _CHUNK):
        query_C = np.arange(start, min(start + _CHUNK, arrays.num_queries))
        row_CD = _draws(rng, len(query_C), size, arrays.num_documents)
        row_QP[query_C] = _first_allowed(row_CD, ~never_negative(arrays, query_C, row_CD), size)
    return row_QP


def _draws(rng: np.random.Generator, num_queries: int, size: int, num_documents: int) -> np.ndarray:
    """int64 [C, D]: with so few documents that draws repeat much, all of them in a random order."""
    if num_documents <= 8 * size * _SPARE:
        return rng.permuted(np.tile(np.arange(num_documents), (num_queries, 1)), axis=1)
    return rng.integers(num_documents, size=(num_queries, size * _SPARE))


def _first_allowed(row_CD: np.ndarray, allowed_CD: np.ndarray, size: int) -> np.ndarray:
    """int32 [C, P]: the first allowed draws of each query, none twice."""
    order = np.argsort(row_CD, axis=1, kind="stable")
    ordered = np.take_along_axis(row_CD, order, axis=1)
    is_again = np.zeros(row_CD.shape, bool)
    np.put_along_axis(is_again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    is_kept = allowed_CD & ~is_again
    first = np.argsort(~is_kept, axis=1, kind="stable")[:, :size]
    found = np.where(
        np.take_along_axis(is_kept, first, axis=1), np.take_along_axis(row_CD, first, axis=1), EMPTY
    )
    return np.pad(found, ((0, 0), (0, size - found.shape[1])), constant_values=EMPTY).astype(np.int32)
