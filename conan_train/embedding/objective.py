"""Contrast and order over the tasks of a run, as the training loop wants it, with negatives that follow the model.

What a step sees is a function of the config, the step number, the weights, the generations of negatives and the
cursors. The last two are in every checkpoint, so a run that was killed and resumed, also across a refresh of its
negatives, meets the same ones.
"""

import functools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator

from conan_train.embedding.base import Trained, alpha
from conan_train.embedding.config import EmbeddingConfig
from conan_train.losses.infonce import Margin
from conan_train.negatives.follow import Follower
from conan_train.negatives.mined import Mined
from conan_train.negatives.refresh import Refresher
from conan_train.step.collapse import Collapse, collapse, warning
from conan_train.step.contrastive import Contrastive, ContrastiveLoss
from conan_train.step.sts import Sts
from conan_train.step.task import StepResult, Task, TaskLoss, numbers, take_step
from conan_train.tasks.plan import turn_at, turns_before
from conan_train.tasks.sts import StsTask
from conan_train.training.notices import Notice
from conan_train.training.objective import ObjectiveState, Outcome

log = logging.getLogger(__name__)

# B queries of a step, N negatives a query


@dataclass(frozen=True, kw_only=True)
class ScoredTask:
    """An STS task with its weight and the temperature of its loss."""

    task: StsTask
    weight: float
    temperature: float

    @property
    def name(self) -> str:
        return self.task.name


@dataclass(frozen=True)
class Tasks:
    """What a run trains on, the main task first; in every step all of them, or one after the other by weight."""

    all: Sequence[Mined | ScoredTask]
    mix: Literal["every-step", "in-turns"] = "every-step"

    @property
    def mined(self) -> list[Mined]:
        return [task for task in self.all if isinstance(task, Mined)]

    def at(self, step: int) -> list[tuple[Mined | ScoredTask, int, float]]:
        """The tasks of `step`, each with the how manyth of its own steps this is, and its weight."""
        if self.mix == "every-step":
            return [(task, step, task.weight) for task in self.all]
        place, own_step = turn_at(step, [task.weight for task in self.all])
        return [(self.all[place], own_step, 1.0)]

    def queries_between(self, mined: Mined, first: int, last: int) -> np.ndarray:
        """Rows of the queries of `mined` in the steps `first` to `last - 1` of the run."""
        if self.mix == "in-turns":
            place, weights = list(self.all).index(mined), [task.weight for task in self.all]
            first, last = (int(turns_before(step, weights)[place]) for step in (first, last))
        return mined.task.plan.queries_between(first, last)


@dataclass(frozen=True)
class _Part:
    """One task's share of a step."""

    task: Mined | ScoredTask
    query_B: np.ndarray
    """Rows of its queries, or of its pairs."""
    step: Task
    weight: float


class EmbeddingObjective:
    """`model` is the embedder to call, wrapped or not; without `refresher` pools stay what they are."""

    unit = "queries"
    flops_per_unit: int | None = None

    def __init__(
        self,
        config: EmbeddingConfig,
        tasks: Tasks,
        *,
        trained: Trained,
        model: torch.nn.Module,
        accelerator: Accelerator,
        refresher: Refresher | Follower | None = None,
    ) -> None:
        self.config, self.tasks, self.trained, self.model = config, tasks, trained, model
        self.accelerator, self.refresher = accelerator, refresher
        self.seconds = 0.0
        self.last: Collapse | None = None

    def prepare(self, step: int) -> None:
        """Sets alpha, and mines anew where a refresh is due."""
        self.trained.embedder.mask.alpha = alpha(step, self.config)
        if self.refresher is not None:
            for mined in self.tasks.mined:
                self.refresher.run_if_due(
                    step,
                    mined,
                    seconds_trained=self.seconds,
                    window=functools.partial(
                        self.tasks.queries_between, mined, step, step + self.refresher.every
                    ),
                )

    def backward(self, step: int) -> Outcome:
        start = time.monotonic()
        parts = self._parts(step)
        result = take_step(
            self.model,
            [part.step for part in parts],
            accelerator=self.accelerator,
            budget=self.config.bucket_tokens,
            weights=[part.weight for part in parts],
            grad_cache=self.config.grad_cache,
        )
        outcome = Outcome(
            loss=float(result.loss),
            size=sum(len(part.query_B) for part in parts),
            means={**self._means(parts, result), **self._collapse(step, result)},
            byproduct=(parts, result.tasks),
        )
        self.seconds += time.monotonic() - start
        return outcome

    def commit(self, step: int, outcome: Outcome) -> Mapping[str, int]:
        """The rule moves the cursors by the scores of the loss; nothing is counted where none is in force."""
        if not any(mined.has_rule for mined in self.tasks.mined):
            return {}
        parts: list[_Part]
        losses: list[TaskLoss]
        parts, losses = outcome.byproduct
        replaced = 0
        for part, loss in zip(parts, losses, strict=True):
            if isinstance(part.task, Mined):
                assert isinstance(loss, ContrastiveLoss)
                replaced += part.task.advance(step, part.query_B, loss.negative_scores)
        return {"replaced": replaced}

    def figures(self, step: int) -> Mapping[str, float]:
        figures: dict[str, float] = {"alpha": alpha(step, self.config)}
        if self.trained.temperature is not None:
            figures["temperature"] = float(self.trained.temperature().detach())
        if self.refresher is not None and self.tasks.mined:
            figures |= self.refresher.figures(step, self.tasks.mined[0], seconds_trained=self.seconds)
        return figures

    def warnings(self, event: Mapping[str, Any]) -> list[Notice]:
        """Return what is wrong with the vectors of the last step, and with the main task's loss since the last line.

        Vectors that are close are normal while the learning rate rises and the mask opens, and in the first tenth.
        """
        if self.last is None:
            return []
        loss = event["loss"] if len(self.tasks.all) == 1 else event.get(f"{self.tasks.all[0].name}_loss")
        is_warm = event["step"] > self.config.optim.warmup_steps
        known = (
            {"loss": loss, "random_loss": event["random_loss"]} if is_warm and "random_loss" in event else {}
        )
        config = self.config
        normal_until = max(config.optim.warmup_steps, config.soft_mask_steps, config.steps // 10)
        found = warning(self.last, normal_until=normal_until, **known)
        return [found] if found else []

    def batch_ids(self, step: int) -> list[str]:
        ids = []
        for task, own_step, _ in self.tasks.at(step):
            if isinstance(task, Mined):
                ids += task.task.query_ids(task.task.queries_at(own_step))
            else:
                ids += task.task.pair_ids(own_step)
        return ids

    def state(self) -> ObjectiveState:
        extra: dict[str, object] = {"seconds": self.seconds}
        arrays: dict[str, torch.Tensor] = {}
        for mined in self.tasks.mined:
            extra[mined.name], own = mined.state()
            arrays |= own
        if self.refresher is not None:
            extra["refresher"] = self.refresher.state()
        return ObjectiveState(extra=extra, arrays=arrays)

    def restore(self, state: ObjectiveState) -> None:
        self.seconds = state.extra["seconds"]
        for mined in self.tasks.mined:
            mined.restore(state.extra[mined.name], state.arrays)
        if self.refresher is not None:
            self.refresher.restore(state.extra["refresher"])

    def _parts(self, step: int) -> list[_Part]:
        return [self._part(*entry) for entry in self.tasks.at(step)]

    def _part(self, task: Mined | ScoredTask, own_step: int, weight: float) -> _Part:
        dims = (*self.config.dims, self.trained.embedder.dimension) if self.config.dims else ()
        if isinstance(task, ScoredTask):
            step: Task = Sts(batch=task.task.batch(own_step), temperature=task.temperature, dims=dims)
            return _Part(task, task.task.plan.queries_at(own_step), step, weight)
        query_B = task.task.queries_at(own_step)
        negative_row_BN = task.cursors.negatives(query_B)
        margin = self.config.score_margin
        contrastive = Contrastive(
            batch=task.task.batch(own_step, query_B, negative_row_BN),
            temperature=self.trained.temperature() if self.trained.temperature else self.config.temperature,
            margin=None if margin is None else Margin(margin),
            dims=dims,
        )
        return _Part(task, query_B, contrastive, weight)

    def _means(self, parts: list[_Part], result: StepResult) -> dict[str, tuple[float, float]]:
        """The main task's under their own names, those of the others under the task's name too."""
        means = {}
        for part, loss in zip(parts, result.tasks, strict=True):
            is_main = part.task is self.tasks.all[0]
            for name, sums in numbers(loss.sums).items():
                if not (is_main and name == "loss" and len(self.tasks.all) == 1):
                    means[name if is_main and name != "loss" else f"{part.task.name}_{name}"] = sums
        return means

    def _collapse(self, step: int, result: StepResult) -> dict[str, tuple[float, float]]:
        """Figures of the vectors, once a line of the log."""
        if (step + 1) % self.config.log_every and step + 1 != self.config.steps:
            return {}
        self.last = collapse(result.vectors)
        return {"mean_cosine": (self.last.mean_cosine, 1), "effective_rank": (self.last.effective_rank, 1)}
