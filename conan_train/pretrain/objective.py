"""Next-token prediction over packed rows, as the training loop wants it.

Which rows a step has follows from its number. With several processes each takes a stretch of the rows, and
losses are divided by the labels of all of them, so that the sum of gradients is that of one process.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from conan_train.pretrain.config import LanguageModelConfig
from conan_train.pretrain.losses import GroupedLoss, batch_losses
from conan_train.pretrain.packing import Batch, PackedRows
from conan_train.training.notices import Notice
from conan_train.training.objective import ObjectiveState, Outcome
from conan_train.training.parallel import held


@dataclass(frozen=True)
class Grouping:
    """Groups of documents whose losses are logged."""

    field: str
    """Name of the log's field."""
    of: np.ndarray
    """int [N]: the group of every document."""
    names: Sequence[str]


class NextToken:
    """`model` is the module to call, wrapped or not; `extra` is JSON that goes into every checkpoint."""

    unit = "tokens"

    def __init__(
        self,
        config: LanguageModelConfig,
        rows: PackedRows,
        *,
        model: torch.nn.Module,
        accelerator: Accelerator,
        flops_per_token: int,
        groupings: Sequence[Grouping] = (),
    ) -> None:
        self.config, self.rows, self.model, self.accelerator = config, rows, model, accelerator
        self.flops_per_unit: int | None = flops_per_token
        self.groupings = groupings
        self.extra: dict[str, Any] = {}

    def prepare(self, step: int) -> None:
        """Nothing is due before a step."""

    def backward(self, step: int) -> Outcome:
        world, device = self.accelerator.num_processes, self.accelerator.device
        batches = list(self._batches(step))
        counted = torch.tensor(sum(batch.num_labels for batch in batches), device=device)
        num_labels = max(int(self.accelerator.reduce(counted, reduction="sum")), 1)
        total = torch.zeros(2, device=device)
        groups = self._groups(step)
        for number, batch in enumerate(batches, start=1):
            with held(self.model, hold=number < len(batches)), self.accelerator.autocast():
                losses = batch_losses(self.model, batch, device, z_loss=self.config.z_loss)
                # The average over processes takes `world` out again.
                self.accelerator.backward(losses.total * (world / num_labels))
            total += torch.stack([losses.cross_entropy_BL.sum(), losses.z_loss])
            for group in groups:
                group.add(batch, losses.cross_entropy_BL)
        loss, z_loss = (self.accelerator.reduce(total, reduction="sum") / num_labels).tolist()
        means = {"z_loss": (z_loss, 1.0)} if self.config.z_loss else {}
        return Outcome(loss=loss, size=self.config.batch_tokens, means={**means, **self._group_means(groups)})

    def commit(self, step: int, outcome: Outcome) -> Mapping[str, int]:
        return {}

    def figures(self, step: int) -> Mapping[str, float]:
        return {}

    def warnings(self, event: Mapping[str, Any]) -> list[Notice]:
        return []

    def batch_ids(self, step: int) -> list[str]:
        first = step * self.config.batch_rows
        return [f"row {number}" for number in range(first, first + self.config.batch_rows)]

    def state(self) -> ObjectiveState:
        return ObjectiveState(extra=self.extra)

    def restore(self, state: ObjectiveState) -> None:
        self.extra = state.extra

    def _groups(self, step: int) -> list[GroupedLoss]:
        """Sums for the groupings, in a step that the log will show."""
        if (step + 1) % self.config.log_every:
            return []
        device = self.accelerator.device
        return [GroupedLoss(grouping.of, len(grouping.names), device) for grouping in self.groupings]

    def _group_means(self, groups: Sequence[GroupedLoss]) -> dict[str, tuple[float, float]]:
        means: dict[str, tuple[float, float]] = {}
        for grouping, group in zip(self.groupings, groups):
            losses, counts = self.accelerator.reduce(group.sums, reduction="sum").tolist()
            means |= {
                f"{grouping.field}/{name}": (loss, count)
                for name, loss, count in zip(grouping.names, losses, counts, strict=True)
                if count
            }
        return means

    def _batches(self, step: int) -> Iterator[Batch]:
        """This process's rows of a step, in micro batches; all processes have the same number of both."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        mine = self.config.batch_rows // world
        first = step * self.config.batch_rows + rank * mine
        size = self.config.micro_batch_rows
        for start in range(0, mine, size):
            yield self.rows.batch(first + start, min(size, mine - start))
