"""What mining is told: the set, the model, the filters, and how much memory it may use."""

from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Gt, Le

from conan_data.config import Config, Memory, StageConfig, execution, require
from conan_data.fields import Cosine, Count, FileName, GroupRegex, NonNegativeInt, PositiveFloat, Share
from conan_data.inputs import CachePath, ModelPath, RequiredDataPath
from conan_data.judging.config import JudgeConfig

Margin: TypeAlias = Annotated[float, Gt(0), Le(1)]
CosineDifference: TypeAlias = Annotated[float, Ge(0), Le(2)]


@dataclass(frozen=True, kw_only=True)
class SelectionConfig(Config):
    """Which of a query's nearest documents become its pool of negatives (see `selection`)."""

    pool_size: Count = 64
    """Negatives kept for each query; a query for which fewer are left gets fewer."""
    depth: Count = 256
    """How many documents that are no known answers are looked at for each query, best first."""
    skip: NonNegativeInt = 0
    """How many of these are passed over at the top, where unknown answers are most frequent."""
    margin: Margin | None = 0.95
    """A document that scores over margin x positive score is taken for an unknown answer and dropped; None: not
    for this.
    """
    margin_by_language: dict[str, Margin] = field(default_factory=dict)
    """Other margins for the queries of some languages."""
    reference: Literal["highest", "mean", "lowest"] = "highest"
    """Which of the scores of a query's positives is its positive score."""
    absolute_margin: CosineDifference | None = None
    """A document that scores over positive score - absolute margin is dropped, too."""
    ceiling: Cosine | None = None
    """A document that scores over this is dropped, whatever the positive score."""
    floor: Cosine | None = None
    """A document that scores under this is dropped as too easy."""
    one_per_group: bool = True
    """Of documents that say the same (one page in several languages) at most one is in a pool."""
    near_positive: Cosine | None = None
    """A document whose cosine with a positive of the query is over this is dropped as its near duplicate."""
    near_duplicate: Cosine | None = None
    """A document whose cosine with a better one of the same pool is over this is dropped as its near duplicate."""
    choose: Literal["top", "uniform", "softmax"] = "top"
    """Of more than pool_size documents that are left, the best are taken, or they are drawn: all alike, or by
    the softmax of their scores.
    """
    temperature: PositiveFloat = 0.05
    """Temperature of the softmax."""
    seed: NonNegativeInt = 0
    """Seed of the draw."""
    band_above: CosineDifference = 0.0
    """Documents that score up to this much over the margin's threshold are left to the judge."""
    band_below: CosineDifference = 0.0
    """Documents that score up to this much under it are left to the judge, too."""

    @property
    def has_band(self) -> bool:
        """Whether a judge is needed."""
        return self.band_above > 0 or self.band_below > 0

    def check(self) -> None:
        super().check()
        require(self.depth > self.skip, "depth", self.depth, f"must be larger than skip ({self.skip})")
        has_margin = self.margin is not None or self.margin_by_language or self.absolute_margin is not None
        require(
            not self.has_band or bool(has_margin),
            "band_above",
            self.band_above,
            "needs a margin to lie around",
        )


@dataclass(frozen=True, kw_only=True)
class SearchConfig(Config):
    """How the nearest documents are found. `exact` and `faiss-flat` give the same; the others miss some."""

    backend: Literal["exact", "faiss-flat", "ivf", "hnsw"] = "exact"
    """All documents by torch or by FAISS, or an index of FAISS: inverted lists, or a graph."""
    lists: Count | None = None
    """ivf: number of lists; None for 4 x the square root of the number of documents."""
    probes: Count | None = None
    """ivf: lists that a query looks into; None for a sixteenth of them."""
    neighbours: Count = 32
    """hnsw: links of a document."""
    breadth: Count | None = None
    """hnsw: candidates of a walk; None for twice the number of documents that are wanted."""
    code_bits: Literal[8, 16] = 16
    """ivf, hnsw: bits of a value in the index; 16 lose nothing."""
    min_recall: Share = 0.95
    """ivf, hnsw: below this share of the exact hits there is a warning."""
    recall_sample: Count = 256
    """ivf, hnsw: queries that are searched exactly, too, to measure recall."""
    seed: NonNegativeInt = 0
    """ivf, hnsw: seed of the samples."""


@dataclass(frozen=True, kw_only=True)
class MineConfig(StageConfig):
    """Mine hard negatives for every query of a retrieval set."""

    data: RequiredDataPath
    """Retrieval set (a directory), or `sample`."""
    split: FileName = "train"
    """Split of the set that is mined."""
    group_regex: GroupRegex = ""
    """Regular expression whose first bracketed part, searched in a document's id, is the group of documents
    that carry none.
    """
    model: ModelPath
    """Encoder: a sentence-transformers model (folder, or Hub id with an optional @revision) or a checkpoint
    of this project.
    """
    select: SelectionConfig = field(default_factory=SelectionConfig)
    """Filters and pool size."""
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    """Who decides within the band of the selection."""
    search: SearchConfig = field(default_factory=SearchConfig)
    """How the nearest documents are found."""
    max_length: Count | None = None
    """Tokens of a text that the model reads; None for the model's own limit."""
    query_prompt: str | None = None
    """Text put before every query; None for the model's own prompt."""
    document_prompt: str | None = None
    """Text put before every document; None for the model's own prompt."""
    batch_tokens: Count = 16384
    """Tokens of one forward pass, padding included (another value changes the last bits of the vectors)."""
    shard_size: Count = 16384
    """Texts encoded between two savings; a killed run goes on from the last one."""
    storage: Literal["float16", "int8"] = "float16"
    """How a number of a vector is kept; int8 halves the size and costs some recall (the search is exact over
    what is kept).
    """
    cache: CachePath = execution("")
    """Directory of vectors that runs share: a second mining with the same weights encodes nothing."""
    device: str = "auto"
    """Where to encode and search: auto, cpu, cuda, cuda:1, mps."""
    memory: Memory = execution("2GB")
    """Working memory of the search, beside the model and the texts (2GB, 500MB, 1.5GiB); the result does not
    depend on it.
    """
    keep_embeddings: bool = False
    """Publish the vectors of the queries and the documents with the negatives."""

    def check(self) -> None:
        super().check()
        require(
            self.select.has_band == (self.judge.kind != "none"),
            "judge.kind",
            self.judge.kind,
            "needs a band (select.band_above, select.band_below), and a band needs a judge",
        )
