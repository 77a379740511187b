"""What a packed batch costs: cross-entropy of its labels, and a penalty on the size of the logits.

    cross-entropy_t = log Z_t - logit_t[label_t],   log Z_t = logsumexp over the vocabulary of logit_t
    z-loss = weight * sum over labels of (log Z_t)^2

The second (Chowdhery et al. 2022, PaLM, section 5: weight 1e-4) keeps log Z near 0, where bf16 still tells
logits apart; it is trained on, and not part of the loss that is reported. All in float32.

B rows, L tokens of a row, V tokens of the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from conan_train.pretrain.borders import packed_logits
from conan_train.pretrain.packing import NO_LABEL, Batch


@dataclass(frozen=True)
class Losses:
    """Of one batch: what is minimised (a scalar, summed over labels), the cross-entropy of each position
    (float32 [B, L], 0 without a label), and the z-loss (a scalar).
    """

    total: torch.Tensor
    cross_entropy_BL: torch.Tensor
    z_loss: torch.Tensor


def batch_losses(
    model: torch.nn.Module, batch: Batch, device: torch.device, *, z_loss: float = 0.0
) -> Losses:
    """Losses of a batch, in nats."""
    ids_BL, positions_BL, labels_BL = (
        torch.from_numpy(column).to(device, non_blocking=True)
        for column in (batch.ids, batch.positions, batch.labels)
    )
    logits_BLV = packed_logits(model, ids_BL, positions_BL).float()
    cross_entropy_BL = torch.nn.functional.cross_entropy(
        logits_BLV.flatten(0, 1), labels_BL.flatten(), ignore_index=NO_LABEL, reduction="none"
    ).view_as(labels_BL)
    total = cross_entropy_BL.sum()
    penalty = torch.zeros_like(total)
    if z_loss:
        log_z_BL = logits_BLV.logsumexp(dim=-1)
        penalty = z_loss * (log_z_BL.square() * (labels_BL != NO_LABEL)).sum()
        total = total + penalty
    return Losses(total, cross_entropy_BL.detach(), penalty.detach())


class GroupedLoss:
    """Sums of losses by the group of a document; every process adds its rows, and all are summed at the end."""

    def __init__(self, group_of: np.ndarray, num_groups: int, device: torch.device) -> None:
        """`group_of`: int [N], the group of every document."""
        self.group_of = group_of
        self.sums = torch.zeros(2, num_groups, dtype=torch.float32, device=device)
        """float32 [2, groups]: loss, labels."""

    def add(self, batch: Batch, cross_entropy_BL: torch.Tensor) -> None:
        labelled = batch.labels != NO_LABEL
        groups = torch.from_numpy(self.group_of[batch.documents[labelled]].astype(np.int64))
        counts = np.bincount(groups.numpy(), minlength=self.sums.shape[1])
        chosen = cross_entropy_BL[torch.from_numpy(labelled).to(cross_entropy_BL.device)]
        self.sums[0].index_add_(0, groups.to(self.sums.device), chosen)
        self.sums[1] += torch.from_numpy(counts).to(self.sums)


def means(sums: torch.Tensor, names: Sequence[str]) -> dict[str, float]:
    """Loss a label of each group that has labels."""
    losses, counts = sums.double().tolist()
    return {
        name: float(f"{loss / count:.6g}")
        for name, loss, count in zip(names, losses, counts, strict=True)
        if count
    }
