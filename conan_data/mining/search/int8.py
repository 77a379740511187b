"""Products of vectors rounded to 8-bit integers, four times as fast as float32 where the CPU has instructions
for them, with a bound of their error.

Vectors are rounded to integers times a scale, and how far each is from its rounded form is *measured*: with
residuals r_q and r_d, the error of a product is at most |q| |r_d| + |r_q| |d - r_d| (Cauchy-Schwarz). So a
document whose integer product, plus that bound, stays below a score that the query has found often enough is
out for certain. Integer sums are exact, in any order.

The smaller the scale, the smaller the residual, and the fewer documents are in doubt. A query has its own
scale; documents of similar scales are put into groups that have one, so scaling is done to a threshold for each
query and group, and never to the products.

Legend: T queries of a tile, C documents of a block, G groups of a block, D dimensions, n rows.
"""

import functools
import logging
from typing import NamedTuple

import torch

from conan_data.mining.search import GROUP

log = logging.getLogger(__name__)

_LENGTH = 1.011
"""Vectors are within 1% of length 1, and float16 rounds."""
_SLACK = 1.001
_ROWS = 256
"""Rows that are rounded at a time, so that they stay in the cache."""


class Rounded(NamedTuple):
    """integers x scale is about the vectors; `scale` and `residual` are one a row, or one a group of rows."""

    integers: torch.Tensor
    """int8 [n, D]"""
    scale: torch.Tensor
    """float32 [n] or [G]"""
    residual: torch.Tensor
    """float32 [n] or [G]: an upper bound of the distance of a vector to its rounded form."""


@functools.cache
def available() -> bool:
    """Whether this CPU multiplies 8-bit integers without an overflow of the intermediate 16-bit sums, and
    fast, and numba is there to look at the products.
    """
    supported = getattr(torch.cpu, "_is_vnni_supported", None) or getattr(
        torch.cpu, "_is_avx512_vnni_supported", None
    )
    if not (supported and supported() and hasattr(torch, "_int_mm")):
        return False
    try:
        from conan_data.mining.search import kernel  # noqa: F401
    except ImportError as error:
        log.warning("searching without numba (%s); with it, this is twice as fast", error)
        return False
    return True


def largest(vectors_nD: torch.Tensor) -> torch.Tensor:
    """float32 [n]: the largest absolute value of each row."""
    return torch.cat([part.abs().amax(dim=1) for part in vectors_nD.split(_ROWS)])


def round_rows(vectors_nD: torch.Tensor) -> Rounded:
    """Each row with its own scale; float32 in."""
    scale_n = largest(vectors_nD).clamp(min=1e-20) / 127
    integers_nD, residual_n = _round(vectors_nD, scale_n)
    return Rounded(integers_nD, scale_n, residual_n)


def round_groups(vectors_CD: torch.Tensor) -> Rounded:
    """`GROUP` rows after each other with one scale; float32 in."""
    scale_G = largest(vectors_CD).view(-1, GROUP).amax(dim=1).clamp(min=1e-20) / 127
    integers_CD, residual_C = _round(vectors_CD, scale_G.repeat_interleave(GROUP))
    return Rounded(integers_CD, scale_G, residual_C.view(-1, GROUP).amax(dim=1))


def _round(vectors_nD: torch.Tensor, scale_n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 [n, D] and float32 [n]: see `Rounded`."""
    integers_nD = torch.empty(vectors_nD.shape, dtype=torch.int8)
    distance_n = torch.empty(len(vectors_nD))
    for start in range(0, len(vectors_nD), _ROWS):
        part = slice(start, start + _ROWS)
        divisor = scale_n[part, None]
        whole = (vectors_nD[part] / divisor).round_().clamp_(-127, 127)
        integers_nD[part] = whole
        distance_n[part] = torch.linalg.vector_norm(whole.mul_(divisor).sub_(vectors_nD[part]), dim=1)
    return integers_nD, distance_n * _SLACK + 1e-6


def error_bounds(queries: Rounded, documents: Rounded) -> torch.Tensor:
    """float64 [T, G]: how far a rounded product can be from the exact one."""
    own_T1, other_G = queries.residual.double()[:, None], documents.residual.double()
    return (_LENGTH * other_G + own_T1 * (_LENGTH + other_G)) * _SLACK + 1e-6


def least_factors(
    cutoff_T: torch.Tensor, queries: Rounded, documents: Rounded
) -> tuple[torch.Tensor, torch.Tensor]:
    """float64 [T, 2] and [2, G]: a document whose integer product is over 1 below their product has a score of
    at most the cutoff.

    This is (cutoff - error bound) / (query's scale * group's scale); the 1 is for the rounding of the divisions.
    """
    own_T, other_G, per_T, per_G = (
        values.double()
        for values in (
            queries.residual,
            documents.residual,
            queries.scale.double().reciprocal(),
            documents.scale.double().reciprocal(),
        )
    )
    left_T2 = torch.stack(
        ((cutoff_T - _LENGTH * _SLACK * own_T - 1e-6) * per_T, -_SLACK * (_LENGTH + own_T) * per_T), dim=1
    )
    return left_T2, torch.stack((per_G, other_G * per_G))
