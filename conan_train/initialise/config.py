"""What a new language model is made from."""

import dataclasses
from dataclasses import dataclass

from conan_data.config import StageConfig, execution, require, source


@dataclass(frozen=True, kw_only=True)
class ShapeConfig:
    """A shape that differs from the preset's; 0 keeps the preset's value."""

    num_layers: int = 0
    """Layers."""
    hidden: int = 0
    """Width of the model, which is the size of an embedding; a multiple of the heads."""
    num_heads: int = 0
    """Heads of the attention."""
    num_kv_heads: int = 0
    """Heads of keys and values; the heads are a multiple of them."""
    ffn: int = 0
    """Width of the feed-forward layers."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            require(value >= 0, f"shape.{field.name}", value, "must not be negative")


@dataclass(frozen=True, kw_only=True)
class InitConfig(StageConfig):
    """Make a language model with random weights from a preset and a tokenizer."""

    preset: str
    """Shape of the model: nano, tiny, 30m, 150m, 600m or conan-1.4b."""
    tokenizer: str = source("")
    """Tokenizer artifact; its vocabulary becomes the model's. A dry run can do without, with the preset's
    vocabulary.
    """
    shape: ShapeConfig = ShapeConfig()
    """Where the shape differs from the preset's."""
    max_position: int = 0
    """Longest text in tokens, 0 for the preset's."""
    seed: int = 0
    """Seed of the weights."""
    dry_run: bool = execution(False)
    """Print parameters, memory and work, and write nothing."""

    def __post_init__(self) -> None:
        require(bool(self.preset), "preset", self.preset, "name a model shape")
        require(bool(self.tokenizer) or self.dry_run, "tokenizer", self.tokenizer, "name a tokenizer")
        require(
            self.max_position == 0 or self.max_position >= 2,
            "max_position",
            self.max_position,
            "must be 0 or at least 2",
        )
        require(self.seed >= 0, "seed", self.seed, "must not be negative")
