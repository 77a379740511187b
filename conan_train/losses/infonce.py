"""InfoNCE over cosines: every query against every candidate of the batch.

    L = -1/B sum_i log( exp(cos(x_i, y_t(i)) / tau) / sum over j not in E_i of exp(cos(x_i, y_j) / tau) )

x_i are queries, y_j candidates (positives and hard negatives of *all* queries), t(i) the column of the
query's own positive, tau the temperature and E_i the candidates that must not count as negatives of query i:
its other known positives, their translations and near duplicates, and columns that are empty. A false
negative that is left in pushes a right answer away at every step, so who builds E_i matters as much as the
loss; t(i) is never in E_i, whatever a mask says.

With a margin m, candidates that the model itself scores above cos(x_i, y_t(i)) + m join E_i as probable false
negatives (the guard of GISTEmbed, arXiv 2402.16829, with the model as its own guide; m = -0.05 relative is
the rule of NV-Retriever, arXiv 2407.15831). The choice is made on detached scores, so it has no gradient. Off
by default: early in training it drops the hardest negatives, which are the ones that teach.

Cosines are taken here (inputs need not be of unit length, so truncated dims work unchanged), in at least
float32 and outside of autocast: at tau = 0.02 the rounding of a bf16 cosine alone is worth 0.2 in a logit.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

# B queries, C candidate columns, N hard negatives a query, D dim


class Margin(NamedTuple):
    """How far above its query's positive a candidate may score and still count as a negative."""

    value: float
    """Of cosine, or a share of the positive's cosine; negative values are stricter."""
    relative: bool = False

    def limit(self, positive_B: torch.Tensor) -> torch.Tensor:
        return positive_B + self.value * (positive_B.abs() if self.relative else 1.0)


class InfoNCE(NamedTuple):
    """The loss, and what it computed anyway (detached; for monitoring and for checking negatives at no cost)."""

    loss: torch.Tensor
    """Scalar, with the graph."""
    cosines: torch.Tensor
    """[B, C]."""
    excluded: torch.Tensor
    """bool [B, C], as used: the own positive never is."""
    positive_scores: torch.Tensor
    """[B]: cosine of the own positive."""
    correct: torch.Tensor
    """bool [B]: no column that counts scores above the own positive."""


class InBatchInfoNCE(NamedTuple):
    """As `InfoNCE`, with the scores of every query's own negatives."""

    loss: torch.Tensor
    cosines: torch.Tensor
    excluded: torch.Tensor
    positive_scores: torch.Tensor
    negative_scores: torch.Tensor
    """[B, N]: cosines of the own negatives, NaN where one is missing."""
    correct: torch.Tensor


def infonce_over(
    query_BD: torch.Tensor,
    candidate_CD: torch.Tensor,
    target_B: torch.Tensor,
    *,
    temperature: float | torch.Tensor,
    excluded_BC: torch.Tensor | None = None,
    margin: Margin | None = None,
) -> InfoNCE:
    """The loss over given columns: `target_B` is the column of each query's positive, `excluded_BC` is True
    where one does not count. A tensor as the temperature gets its gradient.
    """
    wide = torch.promote_types(query_BD.dtype, torch.float32)
    with torch.autocast(query_BD.device.type, enabled=False):
        cosine_BC = F.normalize(query_BD.to(wide), dim=-1) @ F.normalize(candidate_CD.to(wide), dim=-1).T
    own_BC = F.one_hot(target_B, candidate_CD.shape[0]).bool()
    excluded = torch.zeros_like(own_BC) if excluded_BC is None else excluded_BC & ~own_BC
    score_BC = cosine_BC.detach()
    positive_B = score_BC.gather(1, target_B[:, None])[:, 0]
    if margin is not None:
        excluded = excluded | ((score_BC > margin.limit(positive_B)[:, None]) & ~own_BC)
    with torch.autocast(query_BD.device.type, enabled=False):
        loss = F.cross_entropy((cosine_BC / temperature).masked_fill(excluded, -torch.inf), target_B)
    best_B = score_BC.masked_fill(excluded, -torch.inf).amax(1)
    return InfoNCE(loss, score_BC, excluded, positive_B, best_B <= positive_B)


def infonce(
    query_BD: torch.Tensor,
    positive_BD: torch.Tensor,
    negative_BND: torch.Tensor | None,
    *,
    temperature: float | torch.Tensor,
    excluded_BC: torch.Tensor | None = None,
    missing_BN: torch.Tensor | None = None,
) -> InBatchInfoNCE:
    """The loss of a batch. Columns: the B positives, then the negatives of query 0, of query 1, ...: C = B +
    B * N.

    `missing_BN` is True where a query ran out of negatives (the vector there is ignored, by all queries);
    `excluded_BC` as in `infonce_over`.
    """
    num_queries, device = query_BD.shape[0], query_BD.device
    num_negatives = 0 if negative_BND is None else negative_BND.shape[1]
    candidate_CD = (
        positive_BD if negative_BND is None else torch.cat([positive_BD, negative_BND.flatten(0, 1)])
    )
    missing = (
        torch.zeros(num_queries, num_negatives, dtype=torch.bool, device=device)
        if missing_BN is None
        else missing_BN
    )
    missing_C = torch.cat([torch.zeros(num_queries, dtype=torch.bool, device=device), missing.flatten()])
    excluded = missing_C.expand(num_queries, -1) if excluded_BC is None else excluded_BC | missing_C
    target_B = torch.arange(num_queries, device=device)
    result = infonce_over(query_BD, candidate_CD, target_B, temperature=temperature, excluded_BC=excluded)
    own_BN = num_queries + target_B[:, None] * num_negatives + torch.arange(num_negatives, device=device)
    negative_BN = result.cosines.gather(1, own_BN).masked_fill(missing, torch.nan)
    return InBatchInfoNCE(
        result.loss, result.cosines, result.excluded, result.positive_scores, negative_BN, result.correct
    )
