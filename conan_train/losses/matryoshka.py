"""Matryoshka: a loss of vectors that holds for their first dimensions as well.

    L = sum over d in dims of weight_d * loss(vectors[:, :d])

(Kusupati et al., arXiv 2205.13147). Any loss that is a function of vectors can be wrapped, and the result is
again one, so it goes wherever the plain one goes: GradCache and ranks never see the difference. The loss must
take cosines itself, for cut vectors are not of unit length.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from conan_data.errors import UserError

# N texts, D dim

T = TypeVar("T")


def check_dims(dims: Sequence[int], weights: Sequence[float] | None, *, width: int) -> None:
    """Raises `UserError` unless `dims` are different, within the `width` of the vectors, and end there, with
    a positive weight each.
    """
    if len(set(dims)) != len(dims) or not dims or min(dims) < 1 or max(dims) != width:
        raise UserError(
            f"matryoshka dims: {', '.join(map(str, dims))} must be different, at least 1, and the largest must be "
            f"{width}, the width of the model"
        )
    if weights is not None and (len(weights) != len(dims) or min(weights) <= 0):
        raise UserError(
            f"matryoshka weights: {', '.join(map(str, weights))} must be {len(dims)} positive numbers, one for each of dims"
        )


def matryoshka(
    loss_of: Callable[[torch.Tensor], tuple[torch.Tensor, T]],
    *,
    dims: Sequence[int],
    weights: Sequence[float] | None = None,
) -> Callable[[torch.Tensor], tuple[torch.Tensor, T]]:
    """`loss_of` over all of `dims`, with weight 1 each unless given; by-products are those of the full width.
    Without dims it is `loss_of` itself.
    """
    if not dims:
        return loss_of

    def loss_of_all(vectors_ND: torch.Tensor) -> tuple[torch.Tensor, T]:
        check_dims(dims, weights, width=vectors_ND.shape[-1])
        results = [loss_of(vectors_ND[:, :dim]) for dim in dims]
        factors = [1.0] * len(dims) if weights is None else weights
        total = torch.stack([factor * loss for factor, (loss, _) in zip(factors, results)]).sum()
        return total, results[dims.index(max(dims))][1]

    return loss_of_all
