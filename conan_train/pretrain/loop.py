"""The training loop: one optimiser step after another over packed rows.

A step is a function of the config, its number and the state in the checkpoint: rows, learning rate and the
seed of whatever is random follow from the number. So a run that was killed ends with the same weights as one
that was not, bit by bit on a CPU with the same number of threads. With several processes each takes a stretch
of the rows, and losses are divided by the labels of all of them, so that the sum of gradients is that of one
process.

B rows, L tokens of a row.
"""

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from conan_data.errors import UserError
from conan_data.progress import progress
from conan_train.checkpoint.state import load_checkpoint, save_checkpoint
from conan_train.model.flops import model_flops_per_token
from conan_train.model.peak import peak_flops
from conan_train.optim.groups import set_lr
from conan_train.optim.optimizer import make_optimizer
from conan_train.optim.schedule import lr_at
from conan_train.pretrain.config import LanguageModelConfig
from conan_train.pretrain.losses import GroupedLoss, batch_losses, means
from conan_train.pretrain.packing import Batch, PackedRows
from conan_train.trainlog import NAME, TrainLog

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grouping:
    """Groups of documents whose losses are logged."""

    field: str
    """Name of the log's field."""
    of: np.ndarray
    """int [N]: the group of every document."""
    names: Sequence[str]


class Trainer:
    """A run of `num_steps` steps over `rows`; below `directory` are `checkpoints/` and the log."""

    def __init__(
        self,
        config: LanguageModelConfig,
        *,
        model: PreTrainedModel,
        rows: PackedRows,
        num_steps: int,
        accelerator: Accelerator,
        directory: Path,
        groupings: Sequence[Grouping] = (),
        label: str = "pretraining",
    ) -> None:
        self.groupings, self.label = groupings, label
        self.config, self.rows, self.num_steps = config, rows, num_steps
        self.accelerator, self.directory = accelerator, directory
        self.bare = model.to(accelerator.device)
        self.optimizer = make_optimizer(self.bare, config.optim)
        self.model = accelerator.prepare(torch.compile(self.bare) if config.compile else self.bare)
        self.peak = peak_flops(accelerator.device) if config.precision == "bf16" else None
        self.flops_per_token = model_flops_per_token(self.bare, length=config.sequence_length)
        self.log = TrainLog(directory / NAME)
        self.step = 0
        self.extra: dict[str, Any] = {}
        """JSON that goes into every checkpoint."""

    def restore(self, checkpoint: Path | None) -> None:
        """Takes up a checkpoint, and cuts the log back to it."""
        if checkpoint is not None:
            loaded = load_checkpoint(checkpoint, model=self.bare, optimizer=self.optimizer)
            self.step, self.extra = loaded.step, loaded.extra
            log.info("continuing after step %d", self.step)
        if self.accelerator.is_main_process:
            self.log.cut(self.step)

    def train(self) -> None:
        """Takes the steps that are left. Raises `UserError` before an update whose loss or gradient is not
        finite.
        """
        self.model.train()
        since, num_taken = time.monotonic(), 0
        for step in progress(range(self.step, self.num_steps), self.label, unit="step"):
            values = self._take(step)
            self.step, num_taken = step + 1, num_taken + 1
            if self.step % self.config.log_every == 0 or self.step == self.num_steps:
                self._log_step(values, num_taken * self.config.batch_tokens / (time.monotonic() - since))
                since, num_taken = time.monotonic(), 0
            if self.step % self.config.checkpoint_every == 0 or self.step == self.num_steps:
                start = time.monotonic()
                self.save()
                since += time.monotonic() - start

    def save(self) -> None:
        if self.accelerator.is_main_process:
            folder, keep = self.directory / "checkpoints", self.config.keep_checkpoints
            save_checkpoint(
                folder, step=self.step, model=self.bare, optimizer=self.optimizer, extra=self.extra, keep=keep
            )
        self.accelerator.wait_for_everyone()

    def _take(self, step: int) -> dict[str, Any]:
        """One optimiser step; returns what the log says of it: the loss a label, the norm of the gradient
        before it was clipped, and before a line of the log the loss of each group.
        """
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        torch.manual_seed((self.config.seed * self.num_steps + step) * world + rank)
        set_lr(self.optimizer, lr_at(step, self.config.optim, num_steps=self.num_steps))
        batches = list(self._batches(step))
        counted = torch.tensor(sum(batch.num_labels for batch in batches), device=self.accelerator.device)
        num_labels = max(int(self.accelerator.reduce(counted, reduction="sum")), 1)
        total = torch.zeros(2, device=self.accelerator.device)
        groups = self._groups(step)
        for number, batch in enumerate(batches, start=1):
            hold = self.accelerator.no_sync(self.model) if number < len(batches) else contextlib.nullcontext()
            with hold:
                losses = batch_losses(self.model, batch, self.accelerator.device, z_loss=self.config.z_loss)
                self.accelerator.backward(
                    losses.total * (world / num_labels)
                )  # the average over processes takes `world` out again
            total += torch.stack([losses.cross_entropy_BL.sum(), losses.z_loss])
            for group in groups:
                group.add(batch, losses.cross_entropy_BL)
        loss_value, z_loss = (self.accelerator.reduce(total, reduction="sum") / num_labels).tolist()
        norm = torch.nn.utils.clip_grad_norm_(self.bare.parameters(), self.config.optim.grad_clip or math.inf)
        self._check_finite(step, loss_value, float(norm))
        self.optimizer.step()
        self.optimizer.zero_grad()
        values: dict[str, Any] = {"loss": loss_value, "grad_norm": float(norm)}
        if self.config.z_loss:
            values["z_loss"] = z_loss
        for grouping, group in zip(self.groupings, groups):
            values[grouping.field] = means(
                self.accelerator.reduce(group.sums, reduction="sum"), grouping.names
            )
        return values

    def _groups(self, step: int) -> list[GroupedLoss]:
        """Sums for the groupings, in a step that the log will show."""
        if (step + 1) % self.config.log_every and step + 1 != self.num_steps:
            return []
        device = self.accelerator.device
        return [GroupedLoss(grouping.of, len(grouping.names), device) for grouping in self.groupings]

    def _batches(self, step: int) -> Iterator[Batch]:
        """This process's rows of a step, in micro batches; all processes have the same number of both."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        mine = self.config.batch_rows // world
        first = step * self.config.batch_rows + rank * mine
        size = self.config.micro_batch_rows
        for start in range(0, mine, size):
            yield self.rows.batch(first + start, min(size, mine - start))

    def _check_finite(self, step: int, loss: float, norm: float) -> None:
        for name, value in (("loss", loss), ("gradient norm", norm)):
            if not math.isfinite(value):
                raise UserError(
                    f"{name} is {value} at step {step + 1}; try a lower optim.lr, a longer optim.warmup_steps, or precision no "
                    "(another config starts over with --overwrite)"
                )

    def _log_step(self, values: dict[str, Any], tokens_per_second: float) -> None:
        if not self.accelerator.is_main_process:
            return
        lr = lr_at(self.step - 1, self.config.optim, num_steps=self.num_steps)
        speed = {"tokens_per_second": tokens_per_second}
        if self.peak:
            used = tokens_per_second * self.flops_per_token
            speed["mfu"] = used / (self.peak * self.accelerator.num_processes)
        self.log.append({"event": "step", "step": self.step, **values, "lr": lr, **speed})
        log.info(
            "step %d of %d: loss %.4f, lr %.2e, %.0f tokens/s%s",
            self.step,
            self.num_steps,
            values["loss"],
            lr,
            tokens_per_second,
            f", {100 * speed['mfu']:.1f}% MFU" if "mfu" in speed else "",
        )
