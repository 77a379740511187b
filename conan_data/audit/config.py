"""What the audit of negatives is told."""

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from conan_data.config import StageConfig, require
from conan_data.fields import Count, FileName, GroupRegex, NonNegativeInt
from conan_data.inputs import DataPath, DataPaths
from conan_data.judging.config import JudgeConfig


@dataclass(frozen=True, kw_only=True)
class AuditConfig(StageConfig):
    """Look at negatives before training on them."""

    negatives: DataPath
    """Negatives artifact, or a training file of sentence-transformers or FlagEmbedding (a file, folder or glob)."""
    data: DataPath = ""
    """The retrieval set they were mined for (a directory), or `sample`; empty: the negatives hold it."""
    split: FileName = "train"
    """Split of the set."""
    group_regex: GroupRegex = ""
    """As in mining."""
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    """Who judges the sample."""
    labels: DataPath = ""
    """TSV of human labels with query_id, corpus_id, label (1 or yes for an answer, 0 or no for none): the
    `to_label.tsv` of an earlier audit, filled in. They go before the judge's.
    """
    sample: Count = 300
    """Negatives that are judged, and written to `to_label.tsv`, drawn evenly from strata by score."""
    strata: Count = 5
    """Strata: equal shares of all negatives, by score over positive score."""
    seed: NonNegativeInt = 0
    """Seed of the sample."""
    confidence: Annotated[float, Gt(0), Lt(1)] = 0.95
    """Confidence level of the intervals."""
    max_false: Annotated[float, Ge(0), Lt(1)] = 0.05
    """Share of false negatives that a suggested margin may leave."""
    examples: NonNegativeInt = 12
    """Queries that are shown with their texts: half at random, half those with the highest scoring negatives."""
    against: DataPaths = ()
    """Evaluation sets whose queries and documents must not be in here."""
    against_split: FileName = "dev"
    """Their split."""
    near: Annotated[float, Gt(0), Le(1)] = 0.8
    """Jaccard similarity of two texts' shingles from which they count as near the same."""
    device: str = "auto"
    """Where a cross-encoder runs."""

    def check(self) -> None:
        super().check()
        require(self.strata <= self.sample, "strata", self.strata, f"must be at most sample ({self.sample})")
