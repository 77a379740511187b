"""Which documents of a block can be among a query's best: a fast product of all, and exact enough scores of few.

Two products are there: of float32, and of 8-bit integers (see `int8`), for which those in doubt are scored in
float32 while their block is in the cache. Either way no document is missed whose float32 score is over the
query's cutoff. Products are compared by the maxima of groups: most groups have nothing, and are read once.

How good the cutoff is decides the speed only. It starts as a guess from a sample; a query for which the guess
was too high is searched again without one.

Legend: T queries of a tile, C documents of a block, G groups of g documents, D dimensions, n pairs of a query
and a document, m pairs of a query and a group, S sampled documents.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from conan_data.mining.search import GROUP, int8
from conan_data.mining.search.candidates import Candidates
from conan_data.mining.search.int8 import Rounded
from conan_data.mining.search.rescore import to_tensor

_SAMPLED, _SAMPLE = 32, 2048
"""One document of so many is looked at for the first guess, and about so many at most."""
_DENSE = 8
"""From one candidate in so many scores on, a float32 product of all is cheaper than of the pairs."""


class Block(NamedTuple):
    """Documents, those of similar scale next to each other, and rows of zeros up to a whole group."""

    vectors_CD: torch.Tensor
    """float32"""
    rows_C: torch.Tensor
    """int32: rows of the corpus; -1 for one of zeros."""
    rounded: Rounded | None
    """None to multiply in float32."""


def make_block(first_row: int, vectors: np.ndarray, *, rounded: bool) -> Block:
    """The block of float16 `vectors` [n, D], whose rows start at `first_row`."""
    vectors_CD = torch.zeros((len(vectors) + -len(vectors) % GROUP, vectors.shape[1]))
    rows_C = torch.full((len(vectors_CD),), -1, dtype=torch.int32)
    rows_C[: len(vectors)] = torch.arange(first_row, first_row + len(vectors), dtype=torch.int32)
    vectors_CD[: len(vectors)] = to_tensor(vectors, "cpu")
    if not rounded:
        return Block(vectors_CD, rows_C, None)
    order = int8.largest(vectors_CD).argsort()
    vectors_CD = vectors_CD[order]
    return Block(vectors_CD, rows_C[order], int8.round_groups(vectors_CD))


def screen_block(
    candidates: Candidates, tile: slice, queries_TD: torch.Tensor, rounded: Rounded | None, block: Block
) -> None:
    """Adds to `candidates` what of a block is over a query's cutoff; `rounded` are the queries."""
    done = 0
    if rounded is not None and bool(torch.isfinite(candidates.cutoff_B[tile]).all()):
        done = _screen_in_int8(candidates, tile, queries_TD, rounded, block)
    if done < len(queries_TD):
        rest = slice(tile.start + done, tile.stop)
        found = _found_in_float32(candidates.cutoff_B[rest], queries_TD[done:], block, keep=candidates.keep)
        queries_n, columns_n, scores_n = found
        candidates.add(rest, queries_n, block.rows_C[columns_n], scores_n)


def _screen_in_int8(
    candidates: Candidates, tile: slice, queries_TD: torch.Tensor, rounded: Rounded, block: Block
) -> int:
    """As `screen_block`, for so many of the first queries as had few documents in doubt."""
    from conan_data.mining.search import kernel

    assert block.rounded is not None
    products_TC = torch._int_mm(rounded.integers, block.rounded.integers.T)
    factors = int8.least_factors(candidates.cutoff_B[tile], rounded, block.rounded)
    arrays = (
        *(
            products_TC.view(len(products_TC), -1, GROUP),
            *factors,
            queries_TD,
            block.vectors_CD,
            block.rows_C,
        ),
        *(candidates.cutoff_B[tile], candidates.scores_BW[tile], candidates.rows_BW[tile]),
        candidates.filled_B[tile],
    )
    add_reaching: Callable[..., int] = kernel.add_reaching
    return add_reaching(*(array.numpy() for array in arrays), products_TC.numel() // _DENSE)


def _found_in_float32(
    cutoff_T: torch.Tensor, queries_TD: torch.Tensor, block: Block, *, keep: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(queries, columns, scores) [n] of all that is over the cutoff, ordered by query; of too many the best."""
    scores_TC = queries_TD @ block.vectors_CD.T
    num_groups = scores_TC.shape[1] // GROUP
    if (pairs := _reaching(scores_TC, cutoff_T[:, None].expand(-1, num_groups))) is not None:
        found = _over(cutoff_T, *pairs, scores_TC[pairs], block, keep=keep)
        if found is not None:
            return found
    scores_TC[:, block.rows_C < 0] = -torch.inf
    best_TM, columns_TM = scores_TC.topk(min(keep, scores_TC.shape[1]), dim=1, sorted=False)
    queries_n, places_n = torch.nonzero(best_TM > cutoff_T[:, None], as_tuple=True)
    return queries_n, columns_TM[queries_n, places_n], best_TM[queries_n, places_n]


def _reaching(products_TC: torch.Tensor, least_TG: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """(queries, columns) [n] of the products that are not below their group's least, ordered by query; None
    for too many.
    """
    products_TGg = products_TC.view(len(products_TC), -1, GROUP)
    queries_m, groups_m = torch.nonzero(products_TGg.amax(dim=2) >= least_TG, as_tuple=True)
    if len(queries_m) * GROUP * 2 > products_TC.numel():
        return None
    least_m1 = least_TG[queries_m, groups_m][:, None]
    found_n, places_n = torch.nonzero(products_TGg[queries_m, groups_m] >= least_m1, as_tuple=True)
    if len(found_n) * _DENSE > products_TC.numel():
        return None
    return queries_m[found_n], groups_m[found_n] * GROUP + places_n


def _over(
    cutoff_T: torch.Tensor,
    queries_n: torch.Tensor,
    columns_n: torch.Tensor,
    scores_n: torch.Tensor,
    block: Block,
    *,
    keep: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """The pairs that are over the cutoff; None where a query has more than `keep`."""
    over_n = (scores_n > cutoff_T[queries_n]) & (block.rows_C[columns_n] >= 0)
    queries_n, columns_n, scores_n = queries_n[over_n], columns_n[over_n], scores_n[over_n]
    if len(queries_n) > keep and int(torch.bincount(queries_n).amax()) > keep:
        return None
    return queries_n, columns_n, scores_n


def sample_rows(num_documents: int, k: int) -> tuple[np.ndarray, int] | None:
    """Rows of a sample [S], evenly spread, and the rank in it whose score at least `k` of all documents reach,
    in about 99 of 100 cases; None for few documents.
    """
    step = max(_SAMPLED, num_documents // _SAMPLE)
    rows = np.arange(0, num_documents, step)
    expected = k / step
    rank = int(expected + 2.5 * expected**0.5 + 3)
    return (rows, rank) if len(rows) >= 4 * rank else None


def guess_cutoffs(queries_TD: torch.Tensor, sample_SD: torch.Tensor, rank: int) -> torch.Tensor:
    """float32 [T]: the score at `rank` (from 1) of each query's sample."""
    return (queries_TD @ sample_SD.T).topk(rank, dim=1, sorted=False).values.amin(dim=1)
