"""What every stage that trains vectors is told."""

from dataclasses import dataclass, field
from typing import Literal

from conan_data.config import execution, require, source
from conan_train.model.config import LoraConfig
from conan_train.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig(TrainingConfig):
    """Base model, loss and step of the stages `weak` and `finetune`."""

    model: str = source()
    """Decoder to start from: a language-model or embedder artifact, any model folder of transformers, or a name
    on the Hub.
    """
    batch_size: int = 32
    """Queries of a step, over all devices."""
    same_language: float = 0.0
    """Share of the queries of a step that train on a positive in their own language; the others draw from all
    their positives.
    """
    soft_mask_steps: int = 0
    """Steps over which the attention mask opens from causal to bidirectional; 0 for bidirectional from the
    start.
    """
    soft_mask_schedule: Literal["linear", "quadratic-slow", "quadratic-fast", "cosine", "constant"] = "linear"
    """How it opens over these steps."""
    attention: Literal["auto", "flash", "dense"] = execution("auto")
    """How the mask is computed: flash (CUDA, bf16 or fp16), dense, or what fits."""
    temperature: float = 0.05
    """Temperature of InfoNCE."""
    learn_temperature: bool = False
    """Train the temperature along, from that value on."""
    dims: tuple[int, ...] = ()
    """Matryoshka: the loss is also taken of vectors cut to these sizes."""
    score_margin: float | None = None
    """A document that scores over its query's positive by more than this is no negative; None for no such check.
    """
    query_prompt: str = ""
    """Put before every query, separator included."""
    document_prompt: str = ""
    """Put before every document, separator included."""
    max_length: int = 512
    """Tokens a text is cut to, prompt and EOS included."""
    bucket_tokens: int = 8192
    """Padded tokens of one forward pass; a step is cut into as many as it needs."""
    grad_cache: bool = False
    """Compute vectors twice and keep the activations of one forward pass at a time: memory no longer grows with
    the batch, a third more work.
    """
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Train low-rank adapters in place of all weights."""
    token_cache: str = execution("")
    """Folder of token ids that runs share; empty: below the run's own directory, for this run only."""
    checkpoint_every: int = execution(200)
    """Steps between two checkpoints, from which an interrupted run continues."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "batch_size", "bucket_tokens"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        require(self.soft_mask_steps >= 0, "soft_mask_steps", self.soft_mask_steps, "must not be negative")
        require(0 <= self.same_language <= 1, "same_language", self.same_language, "must be between 0 and 1")
        require(self.temperature > 0, "temperature", self.temperature, "must be over 0")
        require(self.max_length >= 2, "max_length", self.max_length, "must be at least 2 (a token and EOS)")
        require(all(dim >= 1 for dim in self.dims), "dims", self.dims, "must be sizes of at least 1")
        require(len(set(self.dims)) == len(self.dims), "dims", self.dims, "name each size once")
        require(
            self.lora.rank == 0 or self.parallel == "ddp", "lora.rank", self.lora.rank, "needs parallel ddp"
        )
