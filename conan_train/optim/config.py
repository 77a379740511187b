"""How weights are updated: AdamW or Muon, the learning-rate schedule, and the bound on the gradient."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Gt, Le, Lt

from conan_data.config import Config
from conan_data.fields import NonNegativeFloat, NonNegativeInt, PositiveFloat, Share

Decay: TypeAlias = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True, kw_only=True)
class OptimConfig(Config):
    """AdamW, or Muon beside it, with a warmed-up schedule."""

    kind: Literal["adamw", "muon"] = "adamw"
    """adamw, or muon for the matrices between hidden states with adamw for all else; both with the same
    learning rate and weight decay.
    """
    lr: PositiveFloat = 1e-3
    """Highest learning rate, reached at the end of the warm-up."""
    warmup_steps: NonNegativeInt = 0
    """Steps over which the learning rate rises linearly."""
    schedule: Literal["cosine", "wsd", "linear", "constant"] = "cosine"
    """Course after the warm-up: cosine or linear descent, constant, or wsd (constant, then a linear descent
    over the last part).
    """
    final_lr: Share = 0.1
    """Learning rate at the end of the descent, as a share of the highest."""
    decay_share: Annotated[float, Gt(0), Le(1)] = 0.2
    """Share of all steps over which wsd descends."""
    weight_decay: NonNegativeFloat = 0.1
    """Decoupled weight decay of matrices; norms, biases and embeddings have none."""
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    """Decay rates of AdamW's two moments."""
    muon_momentum: Decay = 0.95
    """Decay rate of Muon's momentum."""
    grad_clip: NonNegativeFloat = 1.0
    """Largest norm of the gradient; it is scaled down to it. 0 for no bound."""
