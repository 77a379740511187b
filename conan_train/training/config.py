"""What every training stage is told: how long, where, how exactly, and what it writes on the way."""

from dataclasses import dataclass, field
from typing import Literal

from conan_data.config import StageConfig, execution, require
from conan_train.optim.config import OptimConfig

DEVICES = ("auto", "cpu", "cuda", "mps")
TRACKERS = ("tensorboard", "wandb", "trackio")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(StageConfig):
    """What the stages that train have in common."""

    steps: int = 0
    """Optimiser steps."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and learning-rate schedule."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision of the forward and backward passes; weights and their updates are float32."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, a third more work.
    """
    seed: int = 0
    """Seed of the order of the data and of the framework."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train: auto, cpu, cuda, mps. Several processes are started by torchrun or accelerate launch."""
    parallel: Literal["ddp", "fsdp"] = execution("ddp")
    """How several processes share a model: ddp (each has all of it) or fsdp (FSDP2: each has a part of weights,
    gradients and optimiser state).
    """
    threads: int = execution(0)
    """CPU threads of the framework, 0 for its own choice; another number may change the last bits of the
    weights.
    """
    log_every: int = execution(10)
    """Steps between two lines of the log."""
    checkpoint_every: int = execution(500)
    """Steps between two checkpoints, from which an interrupted run continues."""
    keep_checkpoints: int = execution(2)
    """Newest checkpoints that are kept while training."""
    track: tuple[str, ...] = execution(())
    """Trackers that get the log, too: tensorboard, wandb, trackio (each has to be installed)."""

    def __post_init__(self) -> None:
        for name in ("log_every", "checkpoint_every", "keep_checkpoints"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        for name in ("steps", "threads"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "must not be negative")
        require(0 <= self.seed < 1 << 32, "seed", self.seed, f"must be between 0 and {(1 << 32) - 1}")
        warmup = self.optim.warmup_steps
        require(
            not self.steps or not warmup or warmup < self.steps,
            "optim.warmup_steps",
            warmup,
            f"must be less than the {self.steps} steps of the run",
        )
        require(self.device in DEVICES, "device", self.device, f"must be one of {', '.join(DEVICES)}")
        for tracker in self.track:
            require(tracker in TRACKERS, "track", tracker, f"must be of {', '.join(TRACKERS)}")
