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
class SearchConfig:
    """How the nearest documents are found. `exact` and `faiss-flat` give the same; the others miss some."""

    backend: Literal["exact", "faiss-flat", "ivf", "hnsw"] = "exact"
    """All documents by torch or by FAISS, or an index of FAISS: inverted lists, or a graph."""
    lists: int | None = None
    """ivf: number of lists; None for 4 x the square root of the number of documents."""
    probes: int | None = None
    """ivf: lists that a query looks into; None for a sixteenth of them."""
    neighbours: int = 32
    """hnsw: links of a document."""
    breadth: int | None = None
    """hnsw: candidates of a walk; None for twice the number of documents that are wanted."""
    code_bits: Literal[8, 16] = 16
    """ivf, hnsw: bits of a value in the index; 16 lose nothing."""
    min_recall: float = 0.95
    """ivf, hnsw: below this share of the exact hits there is a warning."""
    recall_sample: int = 256
    """ivf, hnsw: queries that are searched exactly, too, to measure recall."""
    seed: int = 0
    """ivf, hnsw: seed of the samples."""

    def __post_init__(self) -> None:
        backends = ("exact", "faiss-flat", "ivf", "hnsw")
        require(self.backend in backends, "backend", self.backend, f"must be one of {', '.join(backends)}")
        for name in ("lists", "probes", "neighbours", "breadth", "recall_sample"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
        require(self.code_bits in (8, 16), "code_bits", self.code_bits, "must be 8 or 16")
        require(0 <= self.min_recall <= 1, "min_recall", self.min_recall, "must be from 0 to 1")
        require(self.seed >= 0, "seed", self.seed, "must not be negative")


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
    search: SearchConfig = field(default_factory=SearchConfig)
    """How the nearest documents are found."""
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
        parse_memory(self.memory)
