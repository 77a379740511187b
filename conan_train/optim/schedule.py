"""The learning rate as a function of the step alone, so that a resumed run cannot be at another place of its
schedule.
"""

import math

from conan_data.errors import UserError
from conan_train.optim.config import OptimConfig


def lr_at(step: int, config: OptimConfig, *, num_steps: int) -> float:
    """Learning rate of `step` (0 .. num_steps - 1).

    Step s of the warm-up has (s + 1) / warmup_steps of `lr`, so its last step has all of it. A descent goes
    from `lr` to `final_lr * lr`, which the last step has. Raises `UserError` when the warm-up leaves no step
    for the rest.
    """
    if config.warmup_steps and config.warmup_steps >= num_steps:
        raise UserError(
            f"optim.warmup_steps: must be less than the {num_steps} steps of the run, got {config.warmup_steps}"
        )
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.lr
    start = config.warmup_steps
    if config.schedule == "wsd":
        start = max(start, num_steps - max(1, round(config.decay_share * num_steps)))
    progress = min(max(step + 1 - start, 0) / max(num_steps - start, 1), 1.0)
    left = (1 + math.cos(math.pi * progress)) / 2 if config.schedule == "cosine" else 1 - progress
    return config.lr * (config.final_lr + (1 - config.final_lr) * left)
