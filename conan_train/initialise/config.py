"""What a new language model is made from."""

from dataclasses import dataclass

from conan_data.config import StageConfig, require


@dataclass(frozen=True, kw_only=True)
class InitConfig(StageConfig):
    """Make a language model with random weights from a preset and a tokenizer."""

    preset: str
    """Shape of the model: nano, tiny, 30m, 150m, 600m or conan-1.4b."""
    tokenizer: str
    """Tokenizer artifact; its vocabulary becomes the model's."""
    max_position: int = 0
    """Longest text in tokens, 0 for the preset's."""
    seed: int = 0
    """Seed of the weights."""

    def __post_init__(self) -> None:
        require(bool(self.preset), "preset", self.preset, "name a model shape")
        require(
            self.max_position == 0 or self.max_position >= 2,
            "max_position",
            self.max_position,
            "must be 0 or at least 2",
        )
        require(self.seed >= 0, "seed", self.seed, "must not be negative")
