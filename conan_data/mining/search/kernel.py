"""The compiled look at a block's integer products: which documents are in doubt, their scores, and what is kept.

Of 2,000 products about one is in doubt, so array operations would write and read every intermediate result for
almost nothing. Here a product is read once, while it is in the cache, and a find goes to its place at once. A
full buffer raises the query's cutoff within the block, not after it.

Legend: T queries of a tile, C documents of a block, G groups of g = `GROUP` documents, W places of a query in its
buffer (twice as many as are kept), D dimensions.
"""

import numpy as np
from numba import types

from conan_data.compiling import njit
from conan_data.mining.search import GROUP

_NUMBERS, _VECTORS = types.Array(types.float32, 1, "C"), types.Array(types.float32, 2, "C")
_FACTORS = types.Array(types.float64, 2, "C")
_SMALLEST = -(2.0**31)
_REASSOCIATE = {"reassoc", "contract", "nsz"}
"""Sums in any order, so that vector units add; infinite numbers stay what they are."""


@njit(nogil=True, fastmath=_REASSOCIATE)
def _dot(left: np.ndarray, left_row: int, right: np.ndarray, right_row: int) -> np.float32:
    total = np.float32(0)
    for place in range(left.shape[1]):
        total += left[left_row, place] * right[right_row, place]
    return total


@njit(nogil=True, fastmath=_REASSOCIATE)
def _exact_dot(left: np.ndarray, left_row: int, right: np.ndarray, right_row: int) -> np.float32:
    """Of numbers that are float16 ones: without an error but for the last rounding (see `exact`)."""
    total = 0.0
    for place in range(left.shape[1]):
        total += np.float64(left[left_row, place]) * np.float64(right[right_row, place])
    return np.float32(total)


@njit(nogil=True)
def _compact(scores_W: np.ndarray, rows_W: np.ndarray, keep: int) -> np.float32:
    """Moves the best `keep` of a full buffer to its front, the rest out; the worst of them."""
    worst = np.partition(scores_W, len(scores_W) - keep)[len(scores_W) - keep]
    equal = keep
    for place in range(len(scores_W)):
        equal -= scores_W[place] > worst
    end = 0
    for place in range(len(scores_W)):
        score = scores_W[place]
        if score > worst or (score == worst and equal > 0):
            equal -= score == worst
            scores_W[end], rows_W[end] = score, rows_W[place]
            end += 1
    scores_W[end:] = -np.inf
    return worst


@njit(
    [
        types.int64(
            types.Array(types.int32, 3, "C"),
            _FACTORS,
            _FACTORS,
            _VECTORS,
            _VECTORS,
            types.Array(types.int32, 1, "C"),
            _NUMBERS,
            _VECTORS,
            types.Array(types.int32, 2, "C"),
            types.Array(types.int64, 1, "C"),
            types.int64,
        )
    ],
    cache=True,
    nogil=True,
)
def add_reaching(
    products_TGg: np.ndarray,
    left_T2: np.ndarray,
    right_2G: np.ndarray,
    queries_TD: np.ndarray,
    documents_CD: np.ndarray,
    rows_C: np.ndarray,
    cutoff_T: np.ndarray,
    scores_TW: np.ndarray,
    rows_TW: np.ndarray,
    filled_T: np.ndarray,
    most: int,
) -> int:
    """Adds to the buffers what is over a query's cutoff, with its exact score, of the documents whose product is not
    below the least (see `int8.least_factors`); cutoffs rise, rows of -1 are left out.

    The number of queries that were looked at: those before more than `most` documents were in doubt.
    """
    keep = scores_TW.shape[1] // 2
    in_doubt = 0
    for query in range(len(products_TGg)):
        if in_doubt > most:
            return query
        cutoff, filled = cutoff_T[query], filled_T[query]
        for group in range(products_TGg.shape[1]):
            top = products_TGg[query, group, 0]
            for place in range(GROUP):
                top = max(top, products_TGg[query, group, place])
            least = left_T2[query, 0] * right_2G[0, group] + left_T2[query, 1] * right_2G[1, group] - 1
            if top < least:
                continue
            whole = np.int32(max(np.ceil(least), _SMALLEST))
            for place in range(GROUP):
                if products_TGg[query, group, place] < whole:
                    continue
                in_doubt += 1
                column = group * GROUP + place
                if rows_C[column] < 0 or _dot(queries_TD, query, documents_CD, column) <= cutoff:
                    continue
                if filled == 2 * keep:
                    cutoff = max(cutoff, _compact(scores_TW[query], rows_TW[query], keep))
                    filled = keep
                score = _exact_dot(queries_TD, query, documents_CD, column)
                if score > cutoff:
                    scores_TW[query, filled], rows_TW[query, filled] = score, rows_C[column]
                    filled += 1
        cutoff_T[query], filled_T[query] = cutoff, filled
    return len(products_TGg)
