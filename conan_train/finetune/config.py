"""What fine-tuning is told."""

from dataclasses import dataclass, field

from conan_data.config import execution, require
from conan_data.mining.config import SelectionConfig
from conan_train.negatives.config import RuleConfig
from conan_train.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainingConfig):
    """Train an embedding model on a retrieval set with InfoNCE over positives, in-batch and mined negatives."""

    model: str
    """Decoder to start from: a language-model or embedder artifact, or any model folder of transformers."""
    data: str
    """Retrieval set (directory), or `sample`."""
    split: str = "train"
    """Split of the set that is trained on."""
    group_regex: str = ""
    """Regular expression whose first bracketed part, searched in a document's id, is the group of documents
    that carry none.
    """
    negatives: str = ""
    """Negatives artifact to begin with; without one they are mined before the first step if mine_every is not
    0.
    """
    steps: int
    """Optimiser steps."""
    batch_size: int = 32
    """Queries of a step."""
    same_language: float = 0.0
    """Share of the queries of a step that train on a positive in their own language; the others draw from all
    their positives.
    """
    num_negatives: int = 7
    """Mined negatives a query trains on at a time."""
    mine_every: int = 0
    """Mine the negatives anew with the current weights every so many steps; 0 for never."""
    select: SelectionConfig = field(default_factory=SelectionConfig)
    """Filters and pool size of that mining."""
    rule: RuleConfig = field(default_factory=RuleConfig)
    """Which negatives are replaced by the next of their pool, checked every step."""
    soft_mask_steps: int = 0
    """Steps over which the attention mask opens from causal to bidirectional; 0 for bidirectional from the
    start.
    """
    temperature: float = 0.05
    """Temperature of InfoNCE."""
    query_prompt: str = ""
    """Put before every query, separator included."""
    document_prompt: str = ""
    """Put before every document, separator included."""
    max_length: int = 512
    """Tokens a text is cut to, prompt and EOS included."""
    bucket_tokens: int = 8192
    """Padded tokens of one forward pass; a step is cut into as many as it needs."""
    memory: str = execution("2GB")
    """Working memory of a mining's search."""
    checkpoint_every: int = execution(200)
    """Steps between two checkpoints, from which an interrupted run continues."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "batch_size", "bucket_tokens"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        for name in ("num_negatives", "mine_every", "soft_mask_steps"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "must not be negative")
        require(0 <= self.same_language <= 1, "same_language", self.same_language, "must be between 0 and 1")
        require(self.temperature > 0, "temperature", self.temperature, "must be over 0")
        require(self.max_length >= 2, "max_length", self.max_length, "must be at least 2 (a token and EOS)")
        require(
            self.mine_every == 0 or self.num_negatives > 0,
            "num_negatives",
            self.num_negatives,
            "must be at least 1 with mine_every",
        )
        require(
            not self.negatives or self.num_negatives > 0,
            "num_negatives",
            self.num_negatives,
            "must be at least 1 with negatives",
        )
