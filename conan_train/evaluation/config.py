"""What an evaluation is told: the model, what it is scored on and how, and how intervals are drawn."""

import dataclasses
from typing import Annotated, Literal

from annotated_types import MinLen

from conan_data.config import Config, StageConfig, execution, require
from conan_data.fields import Count, FileName, GroupRegex, Name, NonNegativeInt
from conan_data.inputs import NOT_BLANK, DataPath, DataPaths, Input

BM25 = "bm25"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StsEvaluationConfig(Config):
    """Pairs of texts with a score of how alike they are: does the cosine order them as people did?"""

    data: DataPaths = ()
    """Files of two texts and a score, with or without a header; none for no such task."""
    first_field: str = ""
    """Column of the first text, or its place from 0 where there is no header; usual names where not named."""
    second_field: str = ""
    """Column of the second text."""
    score_field: str = ""
    """Column of the score, higher for more alike."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassificationEvaluationConfig(Config):
    """Labelled texts: can a simple classifier tell the labels from the vectors?"""

    train: DataPaths = ()
    """Files of texts and labels that the classifier is fitted on; none for no such task."""
    test: DataPaths = ()
    """Files that it is scored on."""
    text_field: Name = "text"
    """Column of the text."""
    label_field: str = ""
    """Column of the label; the first of label_text, label, category, intent and class where it is not named."""
    probe: Literal["logistic", "knn"] = "logistic"
    """Logistic regression, or a vote of the nearest texts."""
    neighbours: Count = 5
    """knn: how many of these vote."""
    samples_per_label: NonNegativeInt = 8
    """Train texts of a label that a classifier is fitted on, drawn anew in each experiment; 0 for all, which
    leaves one experiment.
    """
    experiments: Count = 10
    """Classifiers, whose scores are averaged."""

    def check(self) -> None:
        super().check()
        require(
            bool(self.train) == bool(self.test),
            "test",
            self.test,
            "needs train beside it, and the other way round",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig(StageConfig):
    """Score a model: its retrieval for every pair of query and document language and in one pool of all
    languages, the order of scored pairs, and how well its vectors tell labels. At least one of data, sts.data
    and classification.train.
    """

    model: Annotated[str, MinLen(1), NOT_BLANK, Input(is_model=True, names=(BM25,))]
    """Embedder or language-model artifact, sentence-transformers folder or Hub id (with an optional
    @revision), or `bm25`.
    """
    data: DataPath = ""
    """Retrieval set (a directory), or `sample`; none for no retrieval."""
    split: FileName = "dev"
    """Split of the set that is scored."""
    group_regex: GroupRegex = ""
    """Its first bracketed part, searched in a document's id, is the group of documents that carry none."""
    translations: bool = True
    """Also ask the queries in other languages that lie beside the set (`translations.SPLIT.jsonl`)."""
    pools: Literal["all", "pairs", "mixed"] = "all"
    """Candidates: `pairs` one pool a pair of languages, `mixed` one pool of all documents, `all` both."""
    min_queries: Count = 20
    """Pairs of languages with fewer queries are left out, and listed."""
    sts: StsEvaluationConfig = StsEvaluationConfig()
    """Scored pairs."""
    classification: ClassificationEvaluationConfig = ClassificationEvaluationConfig()
    """Labelled texts."""
    dims: tuple[Count, ...] = ()
    """Matryoshka: also score the vectors cut to these sizes, from the same encoding."""
    max_length: Count | None = None
    """Tokens of a text that the model reads; None for the model's own limit."""
    query_prompt: str | None = None
    """Text put before every query, scored text and labelled text; None for the model's own prompt."""
    document_prompt: str | None = None
    """Text put before every document; None for the model's own prompt."""
    batch_tokens: Count = 16384
    """Tokens of one forward pass, padding included (another value changes the last bits of the vectors)."""
    bootstrap: NonNegativeInt = 1000
    """Resamples behind the 95% intervals; 0: no intervals."""
    seed: NonNegativeInt = 1
    """Seed of the resamples."""
    device: str = execution("auto")
    """Where to encode and search: auto, cpu, cuda, cuda:1, mps."""

    def check(self) -> None:
        super().check()
        require(
            bool(self.data or self.sts.data or self.classification.train),
            "data",
            self.data,
            "name a retrieval set, or files with sts.data or classification.train",
        )
        if self.model == BM25:
            for field, value in (
                ("sts.data", self.sts.data),
                ("classification.train", self.classification.train),
                ("dims", self.dims),
            ):
                require(not value, field, value, "bm25 has no vectors, it ranks only; leave it out")
            for field in ("max_length", "query_prompt", "document_prompt"):
                require(
                    getattr(self, field) is None, field, getattr(self, field), "bm25 has none; leave it out"
                )
