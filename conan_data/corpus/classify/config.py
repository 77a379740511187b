"""Which classifiers look at a document, and from which scores on it is dropped."""

import dataclasses
from pathlib import Path

from conan_data.config import require, source

CLASSIFIERS = ("toxicity", "adult", "advertisement", "fluency")
"""The fields that name one, and the columns of their scores."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifyConfig:
    """Classifiers of `conan-data train-classifier`, by path; none comes with the package. Each scores the start of
    a text, as many characters as it was trained on (`max_chars`).
    """

    toxicity: str = source("")
    """Classifier of toxic text; documents that it takes are dropped. Empty: off."""
    toxicity_threshold: float | None = None
    """Score from which on a document is toxic; None for the classifier's own threshold of the language."""
    adult: str = source("")
    """Classifier of adult content; documents that it takes are dropped. Empty: off."""
    adult_threshold: float | None = None
    """Score from which on a document is adult content; None for the classifier's own."""
    advertisement: str = source("")
    """Classifier of advertisements; documents that it takes are dropped. Empty: off."""
    advertisement_threshold: float | None = None
    """Score from which on a document is an advertisement; None for the classifier's own."""
    fluency: str = source("")
    """Classifier of fluent text; documents that it does not take are dropped. Empty: off."""
    fluency_threshold: float | None = None
    """Score below which a document is not fluent; None for the classifier's own."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_threshold") and value is not None:
                require(0 <= value <= 1, f"classify.{field.name}", value, "must be between 0 and 1")
                name = field.name.removesuffix("_threshold")
                require(
                    getattr(self, name) != "",
                    f"classify.{field.name}",
                    value,
                    f"needs classify.{name}, the classifier that it is for",
                )

    @property
    def inputs(self) -> list[Path]:
        """The classifiers, which belong to the inputs of the job."""
        return [Path(path) for name in CLASSIFIERS if (path := getattr(self, name))]
