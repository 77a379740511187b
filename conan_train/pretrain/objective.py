"""Next-token prediction over packed rows, as the training loop wants it.

Which rows a step has follows from its number. With several processes each takes a stretch of the rows, and
losses are divided by the labels of all of them, so that the sum of gradients is that of one process.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate import Accelerator

from conan_train.pretrain.config import PretrainConfig
from conan_train.pretrain.held_out import summed_loss
from conan_train.pretrain.packing import Batch, Rows
from conan_train.training.objective import ObjectiveState, Outcome
from conan_train.training.parallel import held


class NextToken:
    """`model` is the module to call, wrapped or not; `extra` is JSON that goes into every checkpoint."""

    unit = "tokens"

    def __init__(
        self, config: PretrainConfig, rows: Rows, *, model: torch.nn.Module, accelerator: Accelerator
    ) -> None:
        self.config, self.rows, self.model, self.accelerator = config, rows, model, accelerator
        self.extra: dict[str, Any] = {}

    def prepare(self, step: int) -> None:
        """Nothing is due before a step."""

    def backward(self, step: int) -> Outcome:
        world, device = self.accelerator.num_processes, self.accelerator.device
        batches = list(self._batches(step))
        counted = torch.tensor(sum(batch.num_labels for batch in batches), device=device)
        num_labels = max(int(self.accelerator.reduce(counted, reduction="sum")), 1)
        total = torch.zeros((), device=device)
        for number, batch in enumerate(batches, start=1):
            with held(self.model, hold=number < len(batches)), self.accelerator.autocast():
                loss = summed_loss(self.model, batch, device)
                # The average over processes takes `world` out again.
                self.accelerator.backward(loss * (world / num_labels))
            total += loss.detach()
        loss_value = float(self.accelerator.reduce(total, reduction="sum")) / num_labels
        return Outcome(loss=loss_value, size=self.config.batch_tokens)

    def commit(self, step: int, outcome: Outcome) -> Mapping[str, int]:
        return {}

    def figures(self, step: int) -> Mapping[str, float]:
        return {}

    def batch_ids(self, step: int) -> list[str]:
        first = step * self.config.batch_rows
        return [f"row {number}" for number in range(first, first + self.config.batch_rows)]

    def state(self) -> ObjectiveState:
        return ObjectiveState(extra=self.extra)

    def restore(self, state: ObjectiveState) -> None:
        self.extra = state.extra

    def _batches(self, step: int) -> Iterator[Batch]:
        """This process's rows of a step, in micro batches; all processes have the same number of both."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        mine = self.config.batch_rows // world
        first = step * self.config.batch_rows + rank * mine
        size = max(1, self.config.micro_batch_tokens // self.config.sequence_length)
        for start in range(0, mine, size):
            yield self.rows.batch(first + start, min(size, mine - start))
