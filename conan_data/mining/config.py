"""What mining is told: the set, the model, the filters, and how much memory it may use."""

from dataclasses import dataclass, field
from typing import Literal

from conan_data.config import StageConfig, execution, parse_memory, require


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Which of a query's nearest documents become its pool of negatives (see `selection`)."""

    pool_size: int = 64
    """Negatives kept for each query; a query for which fewer are left gets fewer."""
    depth: int = 256
    """How many documents that are no known answers are looked at for each query, best first."""
    skip: int = 0
    """How many of these are passed over at the top, where unknown answers are most frequent."""
    margin: float = 0.95
    """A document that scores over margin x positive score is taken for an unknown answer and dropped."""
    margin_by_language: dict[str, float] = field(default_factory=dict)
    """Other margins for the queries of some languages."""
    reference: Literal["highest", "mean", "lowest"] = "highest"
    """Which of the scores of a query's positives is its positive score."""

    def __post_init__(self) -> None:
        require(self.pool_size >= 1, "pool_size", self.pool_size, "must be at least 1")
        require(self.skip >= 0, "skip", self.skip, "must not be negative")
        require(self.depth > self.skip, "depth", self.depth, f"must be larger than skip ({self.skip})")
        require(
            self.reference in ("highest", "mean", "lowest"),
            "reference",
            self.reference,
            "must be highest, mean or lowest",
        )
        for name, value in [
            ("margin", self.margin),
            *((f"margin_by_language.{key}", value) for key, value in self.margin_by_language.items()),
        ]:
            require(0 < value <= 1, name, value, "must be over 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class MineConfig(StageConfig):
    """Mine hard negatives for every query of a retrieval set."""

    data: str
    """Retrieval set (a directory), or `sample`."""
    split: str = "train"
    """Split of the set that is mined."""
    group_regex: str = ""
    """Regular expression whose first bracketed part, searched in a document's id, is the group of documents
    that carry none.
    """
    model: str
    """Encoder: a sentence-transformers model (folder, or Hub id with an optional @revision) or a checkpoint
    of this project.
    """
    select: SelectionConfig = field(default_factory=SelectionConfig)
    """Filters and pool size."""
    max_length: int | None = None
    """Tokens of a text that the model reads; None for the model's own limit."""
    query_prompt: str | None = None
    """Text put before every query; None for the model's own prompt."""
    document_prompt: str | None = None
    """Text put before every document; None for the model's own prompt."""
    batch_tokens: int = 16384
    """Tokens of one forward pass, padding included (another value changes the last bits of the vectors)."""
    shard_size: int = 16384
    """Texts encoded between two savings; a killed run goes on from the last one."""
    storage: Literal["float16", "int8"] = "float16"
    """How a number of a vector is kept; int8 halves the size and costs some recall (the search is exact over
    what is kept).
    """
    cache: str = execution("")
    """Directory of vectors that runs share: a second mining with the same weights encodes nothing."""
    device: str = "auto"
    """Where to encode and search: auto, cpu, cuda, cuda:1, mps."""
    memory: str = execution("2GB")
    """Working memory of the search, beside the model and the texts (2GB, 500MB, 1.5GiB); the result does not
    depend on it.
    """
    keep_embeddings: bool = False
    """Publish the vectors of the queries and the documents with the negatives."""

    def __post_init__(self) -> None:
        require(
            self.max_length is None or self.max_length >= 1,
            "max_length",
            self.max_length,
            "must be at least 1",
        )
        require(self.batch_tokens >= 1, "batch_tokens", self.batch_tokens, "must be at least 1")
        require(self.shard_size >= 1, "shard_size", self.shard_size, "must be at least 1")
        require(self.storage in ("float16", "int8"), "storage", self.storage, "must be float16 or int8")
        parse_memory(self.memory)
