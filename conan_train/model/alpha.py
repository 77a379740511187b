"""alpha over the steps of training: a pure function of the global step.

Were it a counter of its own, a resumed run, a skipped step or a second rank would train under another mask
than its log says. Every schedule starts at 0 (causal), but `constant`, and is at 1 (bidirectional) from step
`num_steps` on.
"""

import math
from typing import Literal

AlphaSchedule = Literal["linear", "quadratic-slow", "quadratic-fast", "cosine", "constant"]


def alpha_at(step: int, num_steps: int, *, schedule: AlphaSchedule = "linear") -> float:
    """alpha before optimiser step `step` (0-based), in [0, 1]; 1 at once for 0 steps.

    With p the share of `num_steps` that is done: linear p (as in the paper), quadratic-slow p^2,
    quadratic-fast 1 - (1 - p)^2, cosine (1 - cos(pi p)) / 2, constant 1.
    """
    done = min(step / num_steps, 1.0) if num_steps > 0 else 1.0
    if schedule == "linear":
        return done
    if schedule == "quadratic-slow":
        return done**2
    if schedule == "quadratic-fast":
        return 1.0 - (1.0 - done) ** 2
    if schedule == "cosine":
        return (1.0 - math.cos(math.pi * done)) / 2.0
    assert schedule == "constant", schedule
    return 1.0
