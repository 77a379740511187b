"""What training a language model is told: what all of it has in common, and pretraining."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from conan_data.config import execution, require, source
from conan_data.fields import Count, Name, NonNegativeFloat, NonNegativeInt
from conan_train.training.config import TrainingConfig

REST = "*"
"""In a mixture, every source or language that is not named."""


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig(TrainingConfig):
    """Train a language model on packed rows, next token by next token."""

    model: Name = source()
    """Model to start from: a language-model artifact, or any model folder of transformers with its tokenizer.
    """
    steps: NonNegativeInt = 0
    """Optimiser steps; give this or epochs."""
    epochs: NonNegativeFloat = 0.0
    """Passes over the data, in place of steps."""
    batch_tokens: Count = 16384
    """Tokens of an optimiser step, over all devices."""
    micro_batch_tokens: Count = 8192
    """Tokens of one forward pass on a device; a step is cut into as many as it needs."""
    sequence_length: Annotated[int, Ge(2)] = 512
    """Tokens of a packed row."""
    z_loss: NonNegativeFloat = 0.0
    """Weight of the squared logarithm of the softmax's normaliser, which keeps logits from drifting; 1e-4 is
    usual, 0 is none.
    """
    precision: Literal["no", "bf16"] = "no"
    """Mixed precision of the forward and backward passes; weights and their updates are float32."""
    compile: bool = False
    """Compile the model with torch.compile: minutes at the start, for fewer and larger kernels on a GPU."""

    def check(self) -> None:
        super().check()
        require(
            (self.steps > 0) != (self.epochs > 0),
            "steps",
            self.steps,
            f"give either steps or epochs (epochs is {self.epochs})",
        )
        rule = f"must be a multiple of sequence_length ({self.sequence_length})"
        require(self.batch_tokens % self.sequence_length == 0, "batch_tokens", self.batch_tokens, rule)

    @property
    def batch_rows(self) -> int:
        """Packed rows of an optimiser step."""
        return self.batch_tokens // self.sequence_length

    @property
    def micro_batch_rows(self) -> int:
        """Packed rows of one forward pass."""
        return max(1, self.micro_batch_tokens // self.sequence_length)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(LanguageModelConfig):
    """Train a language model on packed documents, next token by next token."""

    corpus: tuple[str, ...] = source(())
    """Token artifacts, corpus artifacts, files, folders or globs of documents with a `text`, or `sample` for
    the texts that come with the package. Token artifacts must come from the model's tokenizer.
    """
    pairs: tuple[str, ...] = source(())
    """Retrieval sets, or files of rows with a `query` and a `document`, each pair as one more document; their
    source is the name of the set or folder.
    """
    mixture: dict[str, NonNegativeFloat] = field(default_factory=dict)
    """Share of each source, as weights: {news: 2, web: 1}; `*` stands for each one that is not named, 0
    leaves one out. Without it, all documents once an epoch.
    """
    language_mixture: dict[str, NonNegativeFloat] = field(default_factory=dict)
    """Share of each language within its source, in the same way."""
    held_out: Annotated[float, Gt(0), Lt(0.5)] = 0.01
    """Share of the documents, chosen by their hashes, that is kept for measuring and not trained on."""
    tokenize_workers: Count = execution(1)
    """Processes that tokenise what is no token artifact; one uses all cores by itself."""

    def check(self) -> None:
        super().check()
        named = len(self.corpus) + len(self.pairs) > 0
        require(named, "corpus", self.corpus, "name at least one artifact, file or folder, or pairs")
        for name in ("mixture", "language_mixture"):
            weights: dict[str, float] = getattr(self, name)
            require(not weights or sum(weights.values()) > 0, name, weights, "needs a weight over 0")
