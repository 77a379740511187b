"""What pretraining is told."""

from dataclasses import dataclass, field
from typing import Literal

from conan_data.config import StageConfig, execution, require
from conan_train.optim.config import OptimConfig

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(StageConfig):
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
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and learning-rate schedule."""
    precision: Literal["no", "bf16"] = "no"
    """Mixed precision of the forward and backward passes; weights and their updates are float32."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, a third more work.
    """
    seed: int = 0
    """Seed of the order of the documents and of the framework."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train: auto, cpu, cuda, mps."""
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

    def __post_init__(self) -> None:
        require(len(self.corpus) > 0, "corpus", self.corpus, "name at least one artifact, file or folder")
        for name in (
            "batch_tokens",
            "micro_batch_tokens",
            "log_every",
            "checkpoint_every",
            "keep_checkpoints",
        ):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        for name in ("steps", "epochs", "threads", "seed"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "must not be negative")
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
        require(self.device in DEVICES, "device", self.device, f"must be one of {', '.join(DEVICES)}")

    @property
    def batch_rows(self) -> int:
        """Packed rows of an optimiser step."""
        return self.batch_tokens // self.sequence_length
