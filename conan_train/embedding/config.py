"""What every stage that trains vectors is told."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge

from conan_data.config import execution, require
from conan_data.fields import DISTINCT, Count, FileName, GroupRegex, NonNegativeInt, PositiveFloat, Share
from conan_data.inputs import CachePath, DataPath, ModelPath
from conan_train.model.config import LoraConfig
from conan_train.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig(TrainingConfig):
    """Base model, loss and step of the stages `weak` and `finetune`."""

    model: ModelPath
    """Decoder to start from: a language-model or embedder artifact, any model folder of transformers, or a name
    on the Hub.
    """
    batch_size: Count = 32
    """Queries of a step, over all devices."""
    group_regex: GroupRegex = ""
    """Regular expression whose first bracketed part, searched in the id of a retrieval set's document, is the group of
    documents that carry none.
    """
    same_language: Share = 0.0
    """Share of the queries of a step that train on a positive in their own language; the others draw from all
    their positives.
    """
    soft_mask_steps: NonNegativeInt = 0
    """Steps over which the attention mask opens from causal to bidirectional; 0 for bidirectional from the
    start.
    """
    soft_mask_schedule: Literal["linear", "quadratic-slow", "quadratic-fast", "cosine", "constant"] = "linear"
    """How it opens over these steps."""
    attention: Literal["auto", "flash", "dense"] = execution("auto")
    """How the mask is computed: flash (CUDA, bf16 or fp16), dense, or what fits."""
    temperature: PositiveFloat = 0.05
    """Temperature of InfoNCE."""
    learn_temperature: bool = False
    """Train the temperature along, from that value on."""
    dims: Annotated[tuple[Count, ...], DISTINCT] = ()
    """Matryoshka: the loss is also taken of vectors cut to these sizes."""
    score_margin: float | None = None
    """A document that scores over its query's positive by more than this is no negative; None for no such check.
    """
    query_prompt: str | None = None
    """Put before every query, separator included; None for the prompt of the base model, if it has one."""
    document_prompt: str | None = None
    """Put before every document, separator included; None for the prompt of the base model, if it has one."""
    max_length: Annotated[int, Ge(2)] | None = None
    """Tokens a text is cut to, prompt and EOS included; None for that of the base model, or 512 for a language model.
    """
    bucket_tokens: Count = 8192
    """Padded tokens of one forward pass; a step is cut into as many as it needs."""
    grad_cache: bool = False
    """Compute vectors twice and keep the activations of one forward pass at a time: memory no longer grows with
    the batch, a third more work.
    """
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Train low-rank adapters in place of all weights."""
    dev: DataPath = ""
    """Retrieval set that is scored every evaluate_every steps, by the protocol of evaluate: nDCG@10, the mean over the pairs
    of languages with at least 20 queries (without one, of all documents in one pool).
    """
    dev_split: FileName = "dev"
    """Split of that set."""
    token_cache: CachePath = execution("")
    """Folder of token ids that runs share; empty: below the run's own directory, for this run only."""
    checkpoint_every: Count = execution(200)
    """Steps between two checkpoints, from which an interrupted run continues."""

    def check(self) -> None:
        super().check()
        require(self.steps >= 1, "steps", self.steps, "must be at least 1")
        require(
            not self.evaluate_every or bool(self.dev),
            "dev",
            self.dev,
            "name the set that evaluate_every is for",
        )
        require(
            not self.dev or self.evaluate_every > 0,
            "evaluate_every",
            self.evaluate_every,
            "must be at least 1 with dev (such as 100)",
        )
        require(
            self.lora.rank == 0 or self.parallel == "ddp", "lora.rank", self.lora.rank, "needs parallel ddp"
        )
