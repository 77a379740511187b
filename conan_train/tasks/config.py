"""What a stage is told about the data of each of its tasks."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from conan_data.config import Config
from conan_data.fields import Count, FileName, NonNegativeInt, PositiveFloat
from conan_data.inputs import DataPaths


@dataclass(frozen=True, kw_only=True)
class PairsConfig(Config):
    """Pairs of query and document. Rows may name them query and document, anchor and positive, query and pos (a list), or
    query and positive_passages; with a label, 1 is a positive and 0 a negative; retrieval sets give each query with each
    of its positives.
    """

    data: DataPaths = ()
    """Files, folders, globs, names on the Hub, retrieval sets, or `sample`."""
    split: FileName = "train"
    """Split of those that are retrieval sets."""
    query_field: str = ""
    """Column of the query, where it has another name; its place from 0 in CSV or TSV without a header."""
    document_field: str = ""
    """Column of the document, where it has another name; likewise."""
    min_score: float | None = None
    """Weak pairs with a score below this, or with none, are dropped."""
    homogeneous: tuple[Literal["source", "language"], ...] = ()
    """A batch holds queries of one source, one language, or one of both; what fills no batch is left out."""
    query_prompt: str = ""
    """Put before every query, separator included."""
    document_prompt: str = ""
    """Put before every document, separator included."""


@dataclass(frozen=True, kw_only=True)
class ClassificationConfig(Config):
    """Labelled texts, learned by contrast."""

    data: DataPaths = ()
    """Files of texts and labels; none for no such task."""
    positives: Literal["label", "same-label"] = "label"
    """What a text is drawn to: the text of its label, or another text of its label."""
    text_field: str = "text"
    """Column of the text."""
    label_field: str = ""
    """Column of the label; the first of label_text, label, category, intent and class where it is not named."""
    batch_size: Count = 32
    """Texts of a step."""
    weight: PositiveFloat = 1.0
    """Weight of its loss, or of its turns."""
    num_negatives: NonNegativeInt = 7
    """Hard negatives of a text: other labels, or texts of other labels."""
    query_prompt: str = ""
    """Put before every text, separator included."""
    document_prompt: str = ""
    """Put before what a text is drawn to, separator included."""


@dataclass(frozen=True, kw_only=True)
class StsConfig(Config):
    """Pairs of texts with a score of how alike they are, learned in their order (CoSENT)."""

    data: DataPaths = ()
    """Files of two texts and a score, with or without a header; none for no such task."""
    first_field: str = ""
    """Column of the first text, or its place from 0 where there is no header; usual names where not named."""
    second_field: str = ""
    """Column of the second text."""
    score_field: str = ""
    """Column of the score, higher for more alike."""
    batch_size: Annotated[int, Ge(2)] = 32
    """Pairs of a step."""
    homogeneous: bool = True
    """A batch holds pairs of one file only; otherwise scores are compared across files, each file's brought to
    0..1.
    """
    weight: PositiveFloat = 0.8
    """Weight of its loss, or of its turns."""
    temperature: PositiveFloat = 0.05
    """Temperature of CoSENT."""
    prompt: str = ""
    """Put before both texts, separator included."""
