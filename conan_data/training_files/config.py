"""What the export and the import of training files are told."""

from dataclasses import dataclass
from typing import Literal

from conan_data.config import StageConfig, require, source

FORMATS = ("columns", "triplets", "flag", "beir")


@dataclass(frozen=True, kw_only=True)
class ExportNegativesConfig(StageConfig):
    """Write mined negatives as a training set of sentence-transformers, FlagEmbedding, or BEIR."""

    negatives: str = source()
    """Negatives artifact."""
    data: str = source("")
    """The retrieval set they were mined for (a directory), or `sample`; empty: the negatives hold it."""
    split: str = "train"
    """Split of the set."""
    format: Literal["columns", "triplets", "flag", "beir"] = "columns"
    """columns: anchor, positive, negative_1, ... for sentence-transformers; triplets: anchor, positive, negative;
    flag: JSON lines of FlagEmbedding with scores; beir: corpus, queries and judgements with our table of
    negatives.
    """
    num_negatives: int = 7
    """Negatives of a query, from the best on. A query with fewer is dropped from columns, the others take what
    there is. Not for beir, which holds all.
    """
    every_positive: bool = True
    """Of a query with several positives, columns and triplets hold rows for each of them, or for the first."""

    def __post_init__(self) -> None:
        require(self.format in FORMATS, "format", self.format, f"must be one of {', '.join(FORMATS)}")
        require(self.num_negatives >= 1, "num_negatives", self.num_negatives, "must be at least 1")


@dataclass(frozen=True, kw_only=True)
class ImportNegativesConfig(StageConfig):
    """Read a training set of sentence-transformers or FlagEmbedding as a retrieval set with negatives."""

    input: tuple[str, ...] = source()
    """Files, folders or globs of JSON lines, CSV, TSV or Parquet: FlagEmbedding (query, pos, neg), or columns
    anchor, positive, negative or negative_1, ....
    """
    split: str = "train"
    """Name of the split that is written."""
    language: str = "und"
    """Language of all texts, where it is known."""

    def __post_init__(self) -> None:
        require(bool(self.input), "input", self.input, "name at least one file")
