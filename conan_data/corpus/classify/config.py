"""Which classifiers look at a document, and from which scores on it is dropped."""

import dataclasses
from pathlib import Path

from conan_data.config import Config, require
from conan_data.fields import Share
from conan_data.inputs import DataPath

CLASSIFIERS = ("toxicity", "adult", "advertisement", "fluency")
"""The fields that name one, and the columns of their scores."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifyConfig(Config):
    """Classifiers of `conan-data train-classifier`, by path; none comes with the package. Each scores the start of
    a text, as many characters as it was trained on (`max_chars`).
    """

    toxicity: DataPath = ""
    """Classifier of toxic text; documents that it takes are dropped. Empty: off."""
    toxicity_threshold: Share | None = None
    """Score from which on a document is toxic; None for the classifier's own threshold of the language."""
    adult: DataPath = ""
    """Classifier of adult content; documents that it takes are dropped. Empty: off."""
    adult_threshold: Share | None = None
    """Score from which on a document is adult content; None for the classifier's own."""
    advertisement: DataPath = ""
    """Classifier of advertisements; documents that it takes are dropped. Empty: off."""
    advertisement_threshold: Share | None = None
    """Score from which on a document is an advertisement; None for the classifier's own."""
    fluency: DataPath = ""
    """Classifier of fluent text; documents that it does not take are dropped. Empty: off."""
    fluency_threshold: Share | None = None
    """Score below which a document is not fluent; None for the classifier's own."""

    def check(self) -> None:
        super().check()
        for name in CLASSIFIERS:
            threshold = getattr(self, f"{name}_threshold")
            require(
                threshold is None or getattr(self, name) != "",
                f"{name}_threshold",
                threshold,
                f"needs {name}, the classifier that it is for",
            )

    @property
    def inputs(self) -> list[Path]:
        """The classifiers, which belong to the inputs of the job."""
        return [Path(path) for name in CLASSIFIERS if (path := getattr(self, name))]
