"""What a new language model is made from."""

from dataclasses import dataclass
from typing import Annotated

from conan_data.config import Config, StageConfig, execution, require, source
from conan_data.fields import Name, NonNegativeInt, Rule

NOT_ONE = Rule("must be 0 or at least 2", lambda value: value != 1)


@dataclass(frozen=True, kw_only=True)
class ShapeConfig(Config):
    """A shape that differs from the preset's; 0 keeps the preset's value."""

    num_layers: NonNegativeInt = 0
    """Layers."""
    hidden: NonNegativeInt = 0
    """Width of the model, which is the size of an embedding; a multiple of the heads."""
    num_heads: NonNegativeInt = 0
    """Heads of the attention."""
    num_kv_heads: NonNegativeInt = 0
    """Heads of keys and values; the heads are a multiple of them."""
    ffn: NonNegativeInt = 0
    """Width of the feed-forward layers."""


@dataclass(frozen=True, kw_only=True)
class InitConfig(StageConfig):
    """Make a language model with random weights from a preset and a tokenizer."""

    preset: Name
    """Shape of the model: nano, tiny, 30m, 150m, 600m or conan-1.4b."""
    tokenizer: str = source("")
    """Tokenizer artifact; its vocabulary becomes the model's. A dry run can do without, with the preset's
    vocabulary.
    """
    shape: ShapeConfig = ShapeConfig()
    """Where the shape differs from the preset's."""
    max_position: Annotated[NonNegativeInt, NOT_ONE] = 0
    """Longest text in tokens, 0 for the preset's."""
    seed: NonNegativeInt = 0
    """Seed of the weights."""
    dry_run: bool = execution(False)
    """Print parameters, memory and work, and write nothing."""

    def check(self) -> None:
        super().check()
        require(bool(self.tokenizer) or self.dry_run, "tokenizer", self.tokenizer, "name a tokenizer")
