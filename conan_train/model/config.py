"""What of a model is trained: all of its weights, or small adapters beside them."""

from dataclasses import dataclass

from conan_data.config import require


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank adapters (LoRA) instead of all weights."""

    rank: int = 0
    """Rank of an adapter; 0 trains all weights. Needs the package peft."""
    alpha: int = 16
    """An adapter's output is scaled by alpha / rank."""
    dropout: float = 0.0
    """Share of an adapter's input that is dropped in training."""
    targets: tuple[str, ...] = ("all-linear",)
    """Layers that get an adapter, by the last part of their names (q_proj, v_proj), or all-linear."""

    def __post_init__(self) -> None:
        require(self.rank >= 0, "lora.rank", self.rank, "must not be negative")
        require(self.alpha >= 1, "lora.alpha", self.alpha, "must be at least 1")
        require(0 <= self.dropout < 1, "lora.dropout", self.dropout, "must be at least 0 and below 1")
        require(len(self.targets) > 0, "lora.targets", self.targets, "name at least one layer, or all-linear")
        require(
            "all-linear" not in self.targets or len(self.targets) == 1,
            "lora.targets",
            self.targets,
            "all-linear stands alone",
        )
