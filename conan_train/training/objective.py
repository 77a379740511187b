"""What a stage gives the training loop: the part of a step that differs between stages.

The loop owns the order of things (prepare, gradients, check, update, commit, log, save); an objective owns data
and loss. Everything an objective does in a step must follow from its config, the number of the step and the
state it puts into checkpoints, and be the same on all processes where it crosses them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from conan_train.training.notices import Notice


@dataclass(frozen=True)
class Outcome:
    """What the backward pass of a step tells. All figures are those of the whole batch, equal on all processes."""

    loss: float
    size: int
    """Units of the batch, such as queries or tokens: the log gives them a second."""
    means: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """(sum, count) by name, or by `field/group`: the log gives the mean over a window of steps."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Sums by name over a window."""
    byproduct: Any = None
    """Whatever `commit` needs."""


@dataclass(frozen=True)
class ObjectiveState:
    """What an objective needs to go on as if it had never stopped."""

    extra: dict[str, Any] = field(default_factory=dict)
    """JSON."""
    arrays: dict[str, torch.Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """One stage's data and loss."""

    unit: str
    """What is counted a second: queries, tokens."""
    flops_per_unit: int | None
    """Floating point operations of one, forward and backward, where that is known."""

    def prepare(self, step: int) -> None:
        """Before the step, outside of its clock: alpha, a refresh of negatives."""
        ...

    def backward(self, step: int) -> Outcome:
        """Puts the gradients of the whole batch, averaged over processes, into the parameters."""
        ...

    def commit(self, step: int, outcome: Outcome) -> Mapping[str, int]:
        """After the update; returns further counts for the log."""
        ...

    def figures(self, step: int) -> Mapping[str, float]:
        """What the log says of step `step` beside its means, such as alpha."""
        ...

    def warnings(self, event: Mapping[str, Any]) -> list[Notice]:
        """Return what looks wrong in a line of the log."""
        ...

    def batch_ids(self, step: int) -> list[str]:
        """Names of the rows of a step, for the report of one that was refused."""
        ...

    def state(self) -> ObjectiveState: ...

    def restore(self, state: ObjectiveState) -> None: ...
