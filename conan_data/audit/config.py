"""What the audit of negatives is told."""

from dataclasses import dataclass, field

from conan_data.config import StageConfig, require, source
from conan_data.judging.config import JudgeConfig


@dataclass(frozen=True, kw_only=True)
class AuditConfig(StageConfig):
    """Look at negatives before training on them."""

    negatives: str = source()
    """Negatives artifact, or a training file of sentence-transformers or FlagEmbedding (a file, folder or glob)."""
    data: str = source("")
    """The retrieval set they were mined for (a directory), or `sample`; empty: the negatives hold it."""
    split: str = "train"
    """Split of the set."""
    group_regex: str = ""
    """As in mining."""
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    """Who judges the sample."""
    labels: str = source("")
    """TSV of human labels with query_id, corpus_id, label (1 or yes for an answer, 0 or no for none): the
    `to_label.tsv` of an earlier audit, filled in. They go before the judge's.
    """
    sample: int = 300
    """Negatives that are judged, and written to `to_label.tsv`, drawn evenly from strata by score."""
    strata: int = 5
    """Strata: equal shares of all negatives, by score over positive score."""
    seed: int = 0
    """Seed of the sample."""
    confidence: float = 0.95
    """Confidence level of the intervals."""
    max_false: float = 0.05
    """Share of false negatives that a suggested margin may leave."""
    examples: int = 12
    """Queries that are shown with their texts: half at random, half those with the highest scoring negatives."""
    against: tuple[str, ...] = source(())
    """Evaluation sets whose queries and documents must not be in here."""
    against_split: str = "dev"
    """Their split."""
    near: float = 0.8
    """Jaccard similarity of two texts' shingles from which they count as near the same."""
    device: str = "auto"
    """Where a cross-encoder runs."""

    def __post_init__(self) -> None:
        require(self.sample >= 1, "sample", self.sample, "must be at least 1")
        require(1 <= self.strata <= self.sample, "strata", self.strata, "must be at least 1, at most sample")
        require(0 < self.confidence < 1, "confidence", self.confidence, "must be between 0 and 1")
        require(0 <= self.max_false < 1, "max_false", self.max_false, "must be at least 0, below 1")
        require(self.examples >= 0, "examples", self.examples, "must not be negative")
        require(0 < self.near <= 1, "near", self.near, "must be above 0, at most 1")
        require(self.seed >= 0, "seed", self.seed, "must not be negative")
