"""What the export and the import of training files are told."""

from dataclasses import dataclass
from typing import Annotated, Literal

from conan_data.config import StageConfig
from conan_data.fields import WORD, Count, FileName
from conan_data.inputs import DataPath, RequiredDataPath, SomeDataPaths


@dataclass(frozen=True, kw_only=True)
class ExportNegativesConfig(StageConfig):
    """Write mined negatives as a training set of sentence-transformers, FlagEmbedding, or BEIR."""

    negatives: RequiredDataPath
    """Negatives artifact."""
    data: DataPath = ""
    """The retrieval set they were mined for (a directory), or `sample`; empty: the negatives hold it."""
    split: FileName = "train"
    """Split of the set."""
    format: Literal["columns", "triplets", "flag", "beir"] = "columns"
    """columns: anchor, positive, negative_1, ... for sentence-transformers; triplets: anchor, positive, negative;
    flag: JSON lines of FlagEmbedding with scores; beir: corpus, queries and judgements with our table of
    negatives.
    """
    num_negatives: Count = 7
    """Negatives of a query, from the best on. A query with fewer is dropped from columns, the others take what
    there is. Not for beir, which holds all.
    """
    every_positive: bool = True
    """Of a query with several positives, columns and triplets hold rows for each of them, or for the first."""


@dataclass(frozen=True, kw_only=True)
class ImportNegativesConfig(StageConfig):
    """Read a training set of sentence-transformers, FlagEmbedding or Tevatron as a retrieval set with negatives."""

    input: SomeDataPaths
    """Files, folders or globs of JSON lines, CSV, TSV or Parquet: FlagEmbedding (query, pos, neg), Tevatron (query,
    positive_passages, negative_passages), triples of MS MARCO without a header, or columns anchor, positive and negative,
    negative_1, ..., or label (1 for a positive, 0 for a negative).
    """
    query_field: str = ""
    """Column of the query, where it has another name; its place from 0 in CSV or TSV without a header."""
    document_field: str = ""
    """Column of the positives, where it has another name; likewise."""
    split: Annotated[FileName, WORD] = "train"
    """Name of the split that is written."""
    language: str = "und"
    """Language of texts whose row names none (lang, lang_query, lang_document)."""
