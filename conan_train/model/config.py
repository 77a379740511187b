"""What of a model is trained: all of its weights, or small adapters beside them."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Lt

from conan_data.config import Config, require
from conan_data.fields import Count, Names, NonNegativeInt


@dataclass(frozen=True, kw_only=True)
class LoraConfig(Config):
    """Low-rank adapters (LoRA) instead of all weights."""

    rank: NonNegativeInt = 0
    """Rank of an adapter; 0 trains all weights. Needs the package peft."""
    alpha: Count = 16
    """An adapter's output is scaled by alpha / rank."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of an adapter's input that is dropped in training."""
    targets: Names = ("all-linear",)
    """Layers that get an adapter, by the last part of their names (q_proj, v_proj), or all-linear."""

    def check(self) -> None:
        super().check()
        require(
            "all-linear" not in self.targets or len(self.targets) == 1,
            "targets",
            self.targets,
            "all-linear stands alone",
        )
