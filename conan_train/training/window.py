"""What happened in the steps since the last line of the log, as sums that a checkpoint can hold."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conan_train.training.objective import Outcome


@dataclass
class Window:
    """Sums over steps; a resumed run goes on adding to those of its checkpoint, so its log shows no seam."""

    num_steps: int = 0
    size: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    means: dict[str, list[float]] = field(default_factory=dict)
    """[sum, count] by name."""
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: Outcome, more: Mapping[str, int], *, seconds: float) -> None:
        """Adds one step."""
        self.num_steps += 1
        self.size += outcome.size
        self.loss += outcome.loss
        self.seconds += seconds
        for name, (total, count) in outcome.means.items():
            sums = self.means.setdefault(name, [0.0, 0.0])
            sums[0] += total
            sums[1] += count
        for name, count in (*outcome.counts.items(), *more.items()):
            self.counts[name] = self.counts.get(name, 0) + count

    def figures(self, unit: str) -> dict[str, Any]:
        """The line of the log: means (NaN where nothing was counted; those of `field/group` in a dictionary by
        field), counts, and units a second.
        """
        means: dict[str, Any] = {}
        for name, (total, count) in self.means.items():
            field_name, _, group = name.partition("/")
            mean = total / count if count else math.nan
            if group:
                means.setdefault(field_name, {})[group] = mean
            else:
                means[name] = mean
        return {
            "loss": self.loss / self.num_steps,
            **means,
            **self.counts,
            f"{unit}_per_second": self.size / self.seconds,
        }
