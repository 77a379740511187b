"""What a step can train on: tasks that name their texts and score their vectors, joined into one pass.

Tasks differ in what they ask of vectors, not in how vectors are made. So a task says which texts it needs and
what the loss of their vectors is; the texts of all tasks of a step share buckets (and are computed once where
they are equal), and the step's loss is the weighted sum. As every task sees the global batch, so does the sum.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from accelerate import Accelerator

from conan_train.step.embed import embed_and_backward

# N texts, D dim

Sums = Mapping[str, tuple[torch.Tensor, torch.Tensor | int]]


@dataclass(frozen=True, kw_only=True)
class TaskLoss:
    """A task's loss, with its graph until the step has used it, and what its log is made of."""

    loss: torch.Tensor
    sums: Sums
    """By name a sum and how many are in it; over steps both add up, and their quotient is the mean. Tensors
    stay on their device: reading one there would hold up the backward pass.
    """


class Task(Protocol):
    """One task's share of a step. `loss` is a pure function, equal on all ranks."""

    @property
    def token_lists(self) -> Sequence[Sequence[int] | np.ndarray]:
        """The texts, prompts and EOS included."""

    def loss(self, vectors_ND: torch.Tensor) -> TaskLoss:
        """Of their unit vectors, in that order."""


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """All of it equal on all ranks, and detached."""

    loss: torch.Tensor
    """The weighted sum."""
    tasks: list[TaskLoss]
    """As the tasks came; a task may give a class of its own."""
    vectors: torch.Tensor
    """[N, D] of all texts of all tasks, one task after the other."""


def take_step(
    model: torch.nn.Module,
    tasks: Sequence[Task],
    *,
    accelerator: Accelerator,
    budget: int,
    weights: Sequence[float] | None = None,
    grad_cache: bool = False,
) -> StepResult:
    """Adds the gradient of the tasks' weighted losses to `.grad`; weight 1 each unless given. Arguments as in
    `embed_and_backward`.
    """
    factors = [1.0] * len(tasks) if weights is None else weights
    token_lists = [task.token_lists for task in tasks]
    sizes = [len(texts) for texts in token_lists]

    def loss_of(vectors_ND: torch.Tensor) -> tuple[torch.Tensor, list[TaskLoss]]:
        results = [task.loss(part) for task, part in zip(tasks, vectors_ND.split(sizes), strict=True)]
        total = torch.stack([factor * task.loss for factor, task in zip(factors, results, strict=True)]).sum()
        return total, [dataclasses.replace(result, loss=result.loss.detach()) for result in results]

    done = embed_and_backward(
        model,
        [tokens for texts in token_lists for tokens in texts],
        loss_of,
        accelerator=accelerator,
        budget=budget,
        grad_cache=grad_cache,
    )
    return StepResult(loss=done.loss, tasks=done.extra, vectors=done.vectors)


def numbers(sums: Sums) -> dict[str, tuple[float, float]]:
    """`sums` as plain numbers, in one transfer from the device."""
    flat = [value for pair in sums.values() for value in pair]
    device = next((value.device for value in flat if isinstance(value, torch.Tensor)), torch.device("cpu"))
    read = torch.stack(
        [torch.as_tensor(value, dtype=torch.float32, device=device) for value in flat]
    ).tolist()
    return dict(zip(sums, zip(read[::2], read[1::2]), strict=True))
