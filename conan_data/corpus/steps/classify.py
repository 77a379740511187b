"""Scores documents with the user's classifiers, and drops what is toxic, adult, an advertisement or not fluent.

A batch of documents is scored at once and passed on in its order. Scores are written next to the text, also for
documents that stay, so that another threshold can be tried without another run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.artifact import open_artifact
from conan_data.classifier.model import KIND, Classifier, score_lines
from conan_data.corpus.classify.config import ClassifyConfig
from conan_data.corpus.documents import Dropped, batches

BATCH, BATCH_CHARACTERS = 256, 1 << 20
"""A batch ends when it has as many documents or characters."""


@dataclass(frozen=True)
class Aspect:
    """What one classifier decides: the column of its score, and how a document is dropped for it."""

    name: str
    stage: str
    reason: str
    drops_above: bool = True


ASPECTS = (
    Aspect("toxicity", "safety", "toxic"),
    Aspect("adult", "safety", "adult"),
    Aspect("advertisement", "quality", "advertisement"),
    Aspect("fluency", "quality", "not-fluent", drops_above=False),
)


class Classify(PipelineStep):
    """Sets the score of each configured classifier; the first one that a document fails is its reason, with the
    score as the detail.
    """

    name, type = "classify", "filter"

    def __init__(self, config: ClassifyConfig) -> None:
        """Raises `UserError` where a path holds no whole classifier."""
        super().__init__()
        for path in config.inputs:
            open_artifact(path, kind=KIND)
        self.config = config

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        paths = {aspect: getattr(self.config, aspect.name) for aspect in ASPECTS}
        classifiers = {aspect: Classifier.open(path) for aspect, path in paths.items() if path}
        for batch in batches(data, BATCH, BATCH_CHARACTERS):
            self._score([document for document in batch if "dropped" not in document.metadata], classifiers)
            yield from batch

    def _score(self, documents: list[Document], classifiers: dict[Aspect, Classifier]) -> None:
        texts = [document.text for document in documents]
        lines: dict[tuple[bool, int], list[str]] = {}
        for aspect, classifier in classifiers.items():
            settings = (classifier.lowercase, classifier.max_chars)
            if settings not in lines:
                lines[settings] = classifier.lines(texts)
            scores = score_lines(classifier.model, lines[settings]).tolist()
            fixed = getattr(self.config, f"{aspect.name}_threshold")
            for document, score in zip(documents, scores, strict=True):
                document.metadata[aspect.name] = score
                threshold = classifier.threshold_of(document.metadata["lang"]) if fixed is None else fixed
                if (score >= threshold) == aspect.drops_above and "dropped" not in document.metadata:
                    document.metadata["dropped"] = Dropped(aspect.stage, aspect.reason, f"{score:.4f}")
