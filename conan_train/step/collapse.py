"""Has the model collapsed? Figures of the vectors of a step, and a warning in plain words.

A contrastive loss can look well while the vectors lose their room: all texts in one narrow cone, or on a few
directions. Retrieval over a large corpus then fails long before the loss tells, and full fine-tuning does it
unnoticed. Three figures show it: the mean cosine of two random texts, the effective rank, and the loss against
that of a random guess.
"""

import functools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from conan_train.training.notices import Notice

# N vectors, D dim

MAX_ROWS = 512
"""For the effective rank, whose cost grows with the square of the rows."""
HIGH_COSINE = 0.9
"""Two random texts closer than this: a cone. Healthy models, also those that fresh weights give, vary widely
below.
"""
LOW_RANK = 4.0
"""Fewer directions than this carry all differences; only said of at least `FEW_ROWS` vectors."""
FEW_ROWS = 16
NEAR_RANDOM = 0.98
"""Loss over the loss of a random guess."""


@dataclass(frozen=True, kw_only=True)
class Collapse:
    """Of the vectors of one step."""

    mean_cosine: float
    """Of all pairs of two different vectors, in [-1, 1]; NaN for fewer than two."""
    effective_rank: float
    """exp of the entropy of the normalised singular values of the centred vectors (Roy and Vetterli, 2007):
    1 to min(rows - 1, D), 0 where all vectors are equal.
    """
    num_rows: int
    """Vectors that the rank is of."""


@torch.no_grad()
def collapse(vectors_ND: torch.Tensor) -> Collapse:
    """Figures of vectors, which are scaled to unit length first. Exact for the cosine; the rank is of at most
    `MAX_ROWS` vectors, evenly spaced.
    """
    unit_ND = F.normalize(vectors_ND.to(torch.promote_types(vectors_ND.dtype, torch.float32)), dim=-1)
    num = len(unit_ND)
    # The squared norm of the sum holds every ordered pair once, and the N pairs of a vector with itself.
    sum_of_all = float(unit_ND.sum(0).square().sum() - unit_ND.square().sum())
    mean_cosine = sum_of_all / (num * (num - 1)) if num > 1 else math.nan
    rows = torch.arange(min(num, MAX_ROWS), device=unit_ND.device) * num // min(num, MAX_ROWS)
    some_ND = unit_ND[rows]
    return Collapse(mean_cosine=mean_cosine, effective_rank=effective_rank(some_ND), num_rows=len(some_ND))


def effective_rank(vectors_ND: torch.Tensor) -> float:
    """Of the vectors less their mean."""
    singular = torch.linalg.svdvals(vectors_ND - vectors_ND.mean(0))
    singular = singular[singular > torch.finfo(singular.dtype).eps * vectors_ND.norm()]
    share = singular / singular.sum()
    return float((-(share * share.log()).sum()).exp()) if len(singular) else 0.0


def warning(
    figures: Collapse, *, loss: float = math.nan, random_loss: float = math.nan, normal_until: int = 0
) -> Notice | None:
    """Return what is wrong, with the numbers and what to try, or None. `loss` and `random_loss` (of a task, over the
    log's window) are left out of it where they are not given; up to step `normal_until` vectors may be close.
    """
    collapsed = functools.partial(
        Notice,
        name="collapse",
        normal_until=normal_until,
        over=f"the embeddings no longer collapse (mean cosine of two random texts {figures.mean_cosine:.2f})",
    )
    if figures.mean_cosine > HIGH_COSINE:
        return collapsed(
            words=f"the embeddings collapse: two random texts have a mean cosine of {figures.mean_cosine:.2f} (over "
            f"{HIGH_COSINE})",
            advice="try a lower learning rate, a lower temperature or more negatives",
        )
    if figures.num_rows >= FEW_ROWS and figures.effective_rank < LOW_RANK:
        return collapsed(
            words=f"the embeddings collapse: all differences lie in about {figures.effective_rank:.1f} directions (under "
            f"{LOW_RANK:g})",
            advice="try a lower learning rate or more varied batches",
        )
    if loss > NEAR_RANDOM * random_loss:
        return Notice(
            name="nothing-learned",
            words=f"the loss is {loss:.3f} and a random guess has {random_loss:.3f}: nothing is learned yet",
            advice="check that positives belong to their queries and the learning rate is not 0",
            normal_until=normal_until,
            over="the loss is below that of a random guess",
        )
    return None
