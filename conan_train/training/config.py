"""What every training stage is told: how long, where, how exactly, and what it writes on the way."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Lt

from conan_data.config import StageConfig, execution, require
from conan_data.fields import Count, NonNegativeInt
from conan_train.optim.config import OptimConfig


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(StageConfig):
    """What the stages that train have in common."""

    steps: NonNegativeInt = 0
    """Optimiser steps."""
    extend: bool = execution(False)
    """Train the run in out, finished or stopped, on to more steps (or epochs) from its newest checkpoint. From there on the
    learning rate is that of a run planned for all the steps, without a second warm-up (after a full descent it rises
    again); the order of the data, the soft mask and the steps of refreshes go on as if it had never ended.
    """
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and learning-rate schedule."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision of the forward and backward passes; weights and their updates are float32."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, a third more work.
    """
    seed: Annotated[int, Ge(0), Lt(1 << 32)] = 0
    """Seed of the order of the data and of the framework."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train: auto, cpu, cuda, mps. Several processes are started by torchrun or accelerate launch."""
    parallel: Literal["ddp", "fsdp"] = execution("ddp")
    """How several processes share a model: ddp (each has all of it) or fsdp (FSDP2: each has a part of weights,
    gradients and optimiser state).
    """
    threads: NonNegativeInt = execution(0)
    """CPU threads of the framework, 0 for its own choice; another number may change the last bits of the
    weights.
    """
    log_every: Count = execution(10)
    """Steps between two lines of the log."""
    checkpoint_every: Count = execution(500)
    """Steps between two checkpoints, from which an interrupted run continues."""
    keep_checkpoints: Count = execution(2)
    """Newest checkpoints that are kept, also beside the finished model in OUT/checkpoints: OUT@STEP names one wherever a
    model is asked for, and extend goes on from the newest. Each takes three times the model's room in float32.
    """
    evaluate_every: NonNegativeInt = 0
    """Steps between two evaluations on held-out data, saved as a checkpoint before; the last step has one, too. 0 for none.
    """
    early_stop: NonNegativeInt = 0
    """End the training after so many evaluations in a row without a better score; 0 for never."""
    publish: Literal["best", "last"] = "best"
    """Weights that are published where the run is evaluated: those of the best score, or the last ones."""
    track: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = execution(())
    """Trackers that get the log, too: tensorboard, wandb, trackio (each has to be installed)."""

    def check(self) -> None:
        super().check()
        require(
            not (self.extend and self.overwrite),
            "extend",
            self.extend,
            "goes on from what is there, and overwrite starts over; give one of both",
        )
        require(
            not self.early_stop or self.evaluate_every > 0,
            "evaluate_every",
            self.evaluate_every,
            "must be at least 1 with early_stop",
        )
        warmup = self.optim.warmup_steps
        require(
            not self.steps or not warmup or warmup < self.steps,
            "optim.warmup_steps",
            warmup,
            f"must be less than the {self.steps} steps of the run",
        )
