"""What pretraining is told."""

from dataclasses import dataclass
from typing import Literal

from conan_data.config import require
from conan_train.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainingConfig):
    """Train a language model on packed documents, next token by next token."""

    model: str
    """Model to start from: a language-model artifact, or any model folder of transformers with its tokenizer.
    """
    corpus: tuple[str, ...]
    """Corpus artifacts, files, folders or globs of documents with a `text`, or `sample` for the texts that
    come with the package.
    """
    steps: int = 0
    """Optimiser steps; give this or epochs."""
    epochs: float = 0.0
    """Passes over the corpus, in place of steps."""
    batch_tokens: int = 16384
    """Tokens of an optimiser step, over all devices."""
    micro_batch_tokens: int = 8192
    """Tokens of one forward pass on a device; a step is cut into as many as it needs."""
    sequence_length: int = 512
    """Tokens of a packed row; longer documents continue in another row."""
    held_out: float = 0.01
    """Share of the documents, chosen by their hashes, that is kept for measuring and not trained on."""
    precision: Literal["no", "bf16"] = "no"
    """Mixed precision of the forward and backward passes; weights and their updates are float32."""

    def __post_init__(self) -> None:
        require(len(self.corpus) > 0, "corpus", self.corpus, "name at least one artifact, file or folder")
        super().__post_init__()
        for name in ("batch_tokens", "micro_batch_tokens"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        require(self.epochs >= 0, "epochs", self.epochs, "must not be negative")
        require(
            (self.steps > 0) != (self.epochs > 0),
            "steps",
            self.steps,
            f"give either steps or epochs (epochs is {self.epochs})",
        )
        require(self.sequence_length >= 2, "sequence_length", self.sequence_length, "must be at least 2")
        rule = f"must be a multiple of sequence_length ({self.sequence_length})"
        require(self.batch_tokens % self.sequence_length == 0, "batch_tokens", self.batch_tokens, rule)
        require(0 < self.held_out < 0.5, "held_out", self.held_out, "must be over 0 and under 0.5")

    @property
    def batch_rows(self) -> int:
        """Packed rows of an optimiser step."""
        return self.batch_tokens // self.sequence_length
