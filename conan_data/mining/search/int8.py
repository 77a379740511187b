"""Screening by products of 8-bit integers, four times as fast as float32 where the CPU has instructions for
them, without missing a document.

Vectors are rounded to integers times a scale, and how far each is from its rounded form is *measured*: with
residuals r_q and r_d, the error of a product is at most |q| |r_d| + |r_q| |d - r_d| (Cauchy-Schwarz). So a
document whose integer product, plus that bound, stays below a score that the query has found often enough is
out for certain; the few that remain are scored in float32 at once, while their block is in the cache. Integer
sums are exact, in any order.

A scale belongs to a query or to a block of documents, so scaling is done to the threshold and not to the
scores. Scores are compared by the maxima of groups: most groups have nothing, and are read once.

How good the threshold is decides the speed only. It starts as a guess from every 32nd document; a query for
which the guess was too high is searched again without one.

Legend: B queries of a pass, T of a tile, C documents of a block, G groups of a block, M candidates that are
kept, W places for them, D dimensions, n pairs of a query and a document.
"""

from typing import NamedTuple

import torch

GROUP = 32
SAMPLED = 32
"""One document of so many is looked at for the first guess."""
_LENGTH = 1.011
"""Vectors are within 1% of length 1, and float16 rounds."""
_SLACK = 1.001
_DENSE = 24
"""From one candidate in so many scores on, a float32 product of all is cheaper than of the pairs."""


class Rounded(NamedTuple):
    """integers x scale is about the vectors; the scale is one, or one a row."""

    integers: torch.Tensor
    """int8 [n, D]"""
    scale: torch.Tensor
    """float32 [] or [n]"""
    residual: torch.Tensor
    """float32 [] or [n]: an upper bound of the distance of a vector to its rounded form."""


def available() -> bool:
    """Whether this CPU multiplies 8-bit integers without an overflow of the intermediate 16-bit sums, and
    fast.
    """
    supported = getattr(torch.cpu, "_is_vnni_supported", None) or getattr(
        torch.cpu, "_is_avx512_vnni_supported", None
    )
    return bool(supported and supported()) and hasattr(torch, "_int_mm")


def round_rows(vectors_nD: torch.Tensor) -> Rounded:
    """Each row with its own scale; float32 in."""
    scale_n = vectors_nD.abs().amax(dim=1).clamp(min=1e-20) / 127
    return _round(vectors_nD, scale_n, scale_n[:, None])


def round_block(vectors_nD: torch.Tensor) -> Rounded:
    """All rows with one scale, and rows of zeros up to a whole group."""
    scale = vectors_nD.abs().amax().clamp(min=1e-20) / 127
    rounded = _round(vectors_nD, scale, scale)
    padded = torch.nn.functional.pad(rounded.integers, (0, 0, 0, -len(vectors_nD) % GROUP))
    return Rounded(padded, scale, rounded.residual.amax())


def _round(vectors_nD: torch.Tensor, scale: torch.Tensor, divisor: torch.Tensor) -> Rounded:
    whole_nD = (vectors_nD / divisor).round_().clamp_(-127, 127)
    residual_n = torch.linalg.vector_norm(vectors_nD - whole_nD * divisor, dim=1) * _SLACK + 1e-6
    return Rounded(whole_nD.to(torch.int8), scale, residual_n)


def error_bounds(queries: Rounded, documents: Rounded) -> torch.Tensor:
    """float32 [T]: how far a rounded product can be from the exact one."""
    return (_LENGTH * documents.residual + queries.residual * (_LENGTH + documents.residual)) * _SLACK + 1e-6


def guess_rank(k: int, *, sampled: int = SAMPLED) -> int:
    """The rank in a sample whose score at least `k` of all documents reach, in about 99 of 100 cases."""
    expected = k / sampled
    return int(expected + 2.5 * expected**0.5 + 3)


class Candidates:
    """The best documents of B queries so far, in buffers with room for one block more than are kept."""

    def __init__(self, num_queries: int, *, keep: int, block: int) -> None:
        self.keep = keep
        self.width = width_of(keep, block)
        self.scores_BW = torch.full((num_queries, self.width), -torch.inf)
        self.rows_BW = torch.zeros((num_queries, self.width), dtype=torch.int32)
        self.filled_B = torch.zeros(num_queries, dtype=torch.int64)
        self.cutoff_B = torch.full((num_queries,), -torch.inf)
        """What was left out has a float32 score of at most this, or an exact one."""

    def add(self, tile: slice, queries_n: torch.Tensor, rows_n: torch.Tensor, scores_n: torch.Tensor) -> None:
        """Adds pairs, ordered by query (numbered from the start of the tile)."""
        counts_T = torch.bincount(queries_n, minlength=tile.stop - tile.start)
        if int((self.filled_B[tile] + counts_T).max()) > self.width:
            self.compact(tile)
        starts_T = self.filled_B[tile] - (counts_T.cumsum(0) - counts_T)
        places_n = torch.arange(len(queries_n)) + starts_T[queries_n]
        flat_n = (queries_n + tile.start) * self.width + places_n
        self.scores_BW.view(-1)[flat_n] = scores_n
        self.rows_BW.view(-1)[flat_n] = rows_n
        self.filled_B[tile] += counts_T

    def compact(self, tile: slice) -> None:
        """Keeps the best, and raises the cutoff to the worst of them."""
        best, places = self.scores_BW[tile].topk(self.keep, dim=1, sorted=False)
        rows = self.rows_BW[tile].gather(1, places)
        self.scores_BW[tile] = -torch.inf
        self.scores_BW[tile, : self.keep] = best
        self.rows_BW[tile, : self.keep] = rows
        self.filled_B[tile] = self.filled_B[tile].clamp(max=self.keep)
        self.cutoff_B[tile] = torch.maximum(self.cutoff_B[tile], best.amin(dim=1))


def width_of(keep: int, block: int) -> int:
    """Places of a query's buffer: a compacted one takes in all of a block."""
    return 2 * keep + block


def screen_block(
    candidates: Candidates,
    tile: slice,
    queries_TD: torch.Tensor,
    rounded_queries: Rounded,
    documents_CD: torch.Tensor,
    rounded: Rounded,
    *,
    first_row: int,
) -> None:
    """Adds to `candidates` what of a block can be over a query's cutoff."""
    cutoff_T = candidates.cutoff_B[tile]
    pairs = _possible_pairs(cutoff_T, rounded_queries, rounded, num_documents=len(documents_CD))
    if pairs is not None:
        queries_n, columns_n = pairs
        scores_n = pair_products(queries_TD, documents_CD, queries_n, columns_n)
        above_n = scores_n > cutoff_T[queries_n]
        queries_n, columns_n, scores_n = queries_n[above_n], columns_n[above_n], scores_n[above_n]
    else:
        scores_TC = queries_TD @ documents_CD.T
        queries_n, columns_n = torch.nonzero(scores_TC > cutoff_T[:, None], as_tuple=True)
        scores_n = scores_TC[queries_n, columns_n]
    candidates.add(tile, queries_n, (columns_n + first_row).int(), scores_n)


def _possible_pairs(
    cutoff_T: torch.Tensor, queries: Rounded, documents: Rounded, *, num_documents: int
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """(queries, columns) [n] of the pairs that may be over the cutoff, ordered by query; None for too many."""
    least_T = (cutoff_T.double() - error_bounds(queries, documents)) / (
        queries.scale.double() * documents.scale
    )
    # One below, for the rounding of the division; a pair more costs nothing.
    least_T1 = (least_T.floor() - 1).clamp(-(2.0**30), 2.0**30).int()[:, None]
    if int(least_T1.amax()) == -(2**30):
        return None
    products_TC = torch._int_mm(queries.integers, documents.integers.T)
    products_TGg = products_TC.view(len(products_TC), -1, GROUP)
    queries_m, groups_m = torch.nonzero(products_TGg.amax(dim=2) >= least_T1, as_tuple=True)
    if len(queries_m) * GROUP * 2 > products_TC.numel():
        return None
    found_m, places_n = torch.nonzero(products_TGg[queries_m, groups_m] >= least_T1[queries_m], as_tuple=True)
    if len(found_m) * _DENSE > products_TC.numel():
        return None
    queries_n, columns_n = queries_m[found_m], groups_m[found_m] * GROUP + places_n
    real_n = columns_n < num_documents
    return queries_n[real_n], columns_n[real_n]


def pair_products(
    queries_TD: torch.Tensor, documents_CD: torch.Tensor, queries_n: torch.Tensor, columns_n: torch.Tensor
) -> torch.Tensor:
    """float32 [n]: products of single pairs, some thousand at a time so that they stay in the cache."""
    scores_n = torch.empty(len(queries_n))
    for start in range(0, len(queries_n), 1024):
        part = slice(start, start + 1024)
        left = queries_TD.index_select(0, queries_n[part])
        right = documents_CD.index_select(0, columns_n[part])
        torch.linalg.vecdot(left, right, out=scores_n[part])
    return scores_n
