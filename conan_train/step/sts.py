"""Pairs of texts with gold scores as a task of a step: CoSENT."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from conan_train.losses.cosent import CoSENT, cosent
from conan_train.losses.matryoshka import matryoshka
from conan_train.step.task import Sums, TaskLoss

# P pairs, D dim


@dataclass(frozen=True, kw_only=True)
class StsBatch:
    """Pairs of one set (the order of gold scores means nothing across sets). Token lists are those of
    `encode_texts`.
    """

    left_tokens: Sequence[Sequence[int] | np.ndarray]
    """P token lists."""
    right_tokens: Sequence[Sequence[int] | np.ndarray]
    """P token lists."""
    gold: np.ndarray
    """Float [P], higher is more alike; only the order counts."""

    def __post_init__(self) -> None:
        assert len(self.left_tokens) == len(self.right_tokens) == len(self.gold) > 0
        assert np.isfinite(self.gold).all()


@dataclass(frozen=True, kw_only=True)
class StsLoss(TaskLoss):
    """The scores are detached and those of the full width; `sums` has order (the share of differing gold
    scores that the model puts in the right order) and score.
    """

    scores: torch.Tensor
    """[P]: the cosine of each pair."""


@dataclass(frozen=True, kw_only=True)
class Sts:
    """A task of `take_step`. Fields as in `Contrastive`."""

    batch: StsBatch
    temperature: float | torch.Tensor
    dims: Sequence[int] = ()
    dim_weights: Sequence[float] | None = None

    @property
    def token_lists(self) -> list[Sequence[int] | np.ndarray]:
        return [*self.batch.left_tokens, *self.batch.right_tokens]

    def loss(self, vectors_ND: torch.Tensor) -> StsLoss:
        num_pairs = len(self.batch.gold)
        gold_P = torch.as_tensor(self.batch.gold, dtype=torch.float32, device=vectors_ND.device)

        def loss_of(vectors_ND: torch.Tensor) -> tuple[torch.Tensor, CoSENT]:
            result = cosent(
                vectors_ND[:num_pairs], vectors_ND[num_pairs:], gold_P, temperature=self.temperature
            )
            return result.loss, result

        loss, result = matryoshka(loss_of, dims=self.dims, weights=self.dim_weights)(vectors_ND)
        sums: Sums = {
            "order": (result.num_ordered - result.num_swapped, result.num_ordered),
            "score": (result.cosines.sum(), num_pairs),
            "loss": (loss.detach(), 1),
        }
        return StsLoss(loss=loss, sums=sums, scores=result.cosines)
