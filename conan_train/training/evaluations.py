"""Scores of a held-out set while a run trains: what was found, which checkpoint is the best, and when it is time to stop.

An evaluation follows from the weights alone and changes nothing of the run. A checkpoint is saved before each one, so
that whoever is ended or killed in its midst has lost no step, and the weights of the best score are at hand. The state
in a checkpoint is that before the evaluation of its own step: a run that goes on from there evaluates again, with the
same result.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Publish = Literal["best", "last"]


@dataclass(frozen=True)
class Score:
    """What an evaluation found; `figures` by name, or by group and name, are for the log and the trackers."""

    value: float
    figures: Mapping[str, Any] = field(default_factory=dict)


class Evaluator(Protocol):
    """Scores the weights of a run on held-out data."""

    @property
    def metric(self) -> str:
        """Name of the score."""
        ...

    @property
    def is_higher_better(self) -> bool: ...

    def score(self, step: int) -> Score:
        """Return the score of the weights after `step` steps, the same on all processes, which all have to call it."""
        ...

    def counts(self, step: int) -> bool:
        """Return whether the weights after `step` steps may be published in place of the last ones."""
        ...


@dataclass
class Evaluations:
    """The evaluations of a run every `every` steps, and after the last."""

    evaluator: Evaluator
    every: int
    patience: int
    """Evaluations in a row without a better score before the run ends; 0 for no such end."""
    counted_from: int = 0
    """Step from which patience counts: that at which the run was last extended."""
    scores: dict[int, float] = field(default_factory=dict)
    """By step."""
    seconds: float = 0.0
    seconds_trained: float = 0.0

    @property
    def best_step(self) -> int | None:
        """The step of the best score, the first of equal ones; None where none counts yet."""
        sign = 1 if self.evaluator.is_higher_better else -1
        counting = [step for step in sorted(self.scores) if self.evaluator.counts(step)]
        return max(counting, key=lambda step: (sign * self.scores[step], -step), default=None)

    def is_due(self, step: int, *, is_last: bool) -> bool:
        """Return whether the weights after `step` steps are still to be evaluated."""
        return step > 0 and step not in self.scores and (is_last or step % self.every == 0)

    def is_over(self) -> bool:
        """Return whether as many evaluations as the run has patience for, the last ones, found nothing better."""
        best = self.best_step
        if not self.patience or best is None:
            return False
        return sum(step > max(best, self.counted_from) for step in self.scores) >= self.patience

    def add(self, step: int, score: Score, *, seconds: float) -> dict[str, Any]:
        """Add the evaluation of the weights after `step` steps, and return its event for the log."""
        self.scores[step] = score.value
        self.seconds += seconds
        return {
            "event": "evaluation",
            "step": step,
            "metric": self.evaluator.metric,
            "score": score.value,
            "best_step": self.best_step,
            **score.figures,
            "seconds": seconds,
            "share": self.seconds / (self.seconds + self.seconds_trained),
        }

    def account(self, *, publish: Publish, last: int, num_steps: int) -> dict[str, Any]:
        """Return what a manifest says of the evaluations of a run that took `last` of `num_steps` steps."""
        best = self.best_step
        return {
            "metric": self.evaluator.metric,
            "best": None if best is None else {"step": best, "score": self.scores[best]},
            "last": {"step": last, "score": self.scores[last]},
            "published_step": self.published_step(publish=publish, last=last),
            "stopped_early": last < num_steps,
        }

    def published_step(self, *, publish: Publish, last: int) -> int:
        """Return the step whose weights are published."""
        best = self.best_step
        return best if publish == "best" and best is not None else last

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, as JSON."""
        return {"scores": list(self.scores.items()), "seconds": [self.seconds, self.seconds_trained]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up the state of a checkpoint."""
        self.scores = {int(step): value for step, value in state["scores"]}
        self.seconds, self.seconds_trained = state["seconds"]
