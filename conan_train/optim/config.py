"""How weights are updated: AdamW or Muon, the learning-rate schedule, and the bound on the gradient."""

from dataclasses import dataclass
from typing import Literal

from conan_data.config import require

KINDS = ("adamw", "muon")
SCHEDULES = ("cosine", "wsd", "linear", "constant")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW, or Muon beside it, with a warmed-up schedule."""

    kind: Literal["adamw", "muon"] = "adamw"
    """adamw, or muon for the matrices between hidden states with adamw for all else; both with the same
    learning rate and weight decay.
    """
    lr: float = 1e-3
    """Highest learning rate, reached at the end of the warm-up."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly."""
    schedule: Literal["cosine", "wsd", "linear", "constant"] = "cosine"
    """Course after the warm-up: cosine or linear descent, constant, or wsd (constant, then a linear descent
    over the last part).
    """
    final_lr: float = 0.1
    """Learning rate at the end of the descent, as a share of the highest."""
    decay_share: float = 0.2
    """Share of all steps over which wsd descends."""
    weight_decay: float = 0.1
    """Decoupled weight decay of matrices; norms, biases and embeddings have none."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay rates of AdamW's two moments."""
    muon_momentum: float = 0.95
    """Decay rate of Muon's momentum."""
    grad_clip: float = 1.0
    """Largest norm of the gradient; it is scaled down to it. 0 for no bound."""

    def __post_init__(self) -> None:
        require(self.kind in KINDS, "optim.kind", self.kind, f"must be one of {', '.join(KINDS)}")
        require(0 <= self.muon_momentum < 1, "optim.muon_momentum", self.muon_momentum, "must be in [0, 1)")
        require(self.lr > 0, "optim.lr", self.lr, "must be over 0")
        require(self.warmup_steps >= 0, "optim.warmup_steps", self.warmup_steps, "must not be negative")
        require(
            self.schedule in SCHEDULES,
            "optim.schedule",
            self.schedule,
            f"must be one of {', '.join(SCHEDULES)}",
        )
        require(0 <= self.final_lr <= 1, "optim.final_lr", self.final_lr, "must be between 0 and 1")
        require(
            0 < self.decay_share <= 1, "optim.decay_share", self.decay_share, "must be over 0 and at most 1"
        )
        require(self.weight_decay >= 0, "optim.weight_decay", self.weight_decay, "must not be negative")
        require(
            len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
            "optim.betas",
            self.betas,
            "must be two of [0, 1)",
        )
        require(self.grad_clip >= 0, "optim.grad_clip", self.grad_clip, "must not be negative")
