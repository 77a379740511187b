"""CoSENT: pairs of texts in the order of their gold scores.

    L = log( 1 + sum over gold(i) > gold(j) of exp((cos_j - cos_i) / tau) )

cos_i is the cosine of pair i and tau the temperature; the sum runs over all pairs of pairs whose gold scores
differ (Su Jianlin, https://kexue.fm/archives/8847; section 3.2 of Conan-embedding, arXiv 2408.15710). Only
the order of the gold scores has a say, so scales of different sets need not agree, but a set's own pairs
should meet its own: over two scales an order means nothing.

The siblings: `infonce` for texts that have an answer among others. Cosines in at least float32, outside of
autocast, as there.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

# P pairs, D dim


class CoSENT(NamedTuple):
    """The loss, and what it computed anyway (detached)."""

    loss: torch.Tensor
    """Scalar, with the graph; 0 where all gold scores are equal."""
    cosines: torch.Tensor
    """[P]."""
    num_ordered: torch.Tensor
    """Pairs of pairs whose gold scores differ."""
    num_swapped: torch.Tensor
    """Those of them that the model orders the other way, or not at all."""


def cosent(
    left_PD: torch.Tensor, right_PD: torch.Tensor, gold_P: torch.Tensor, *, temperature: float | torch.Tensor
) -> CoSENT:
    """The loss of P pairs (row p of `left` with row p of `right`); vectors need not be of unit length."""
    wide = torch.promote_types(left_PD.dtype, torch.float32)
    with torch.autocast(left_PD.device.type, enabled=False):
        cosine_P = F.cosine_similarity(left_PD.to(wide), right_PD.to(wide), dim=-1)
        # Row i, column j: how far pair j is ahead of pair i, which should be ahead of it.
        ahead_PP = cosine_P[None, :] - cosine_P[:, None]
        ordered_PP = gold_P[:, None] > gold_P[None, :]
        exponent_PP = (ahead_PP / temperature).masked_fill(~ordered_PP, -torch.inf)
        loss = F.pad(exponent_PP.flatten(), (1, 0)).logsumexp(0)
    swapped = (ordered_PP & (ahead_PP.detach() >= 0)).sum()
    return CoSENT(loss, cosine_P.detach(), ordered_PP.sum(), swapped)
