"""A trained classifier as its users see it: scores of texts, and the threshold of a language."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conan_data import artifact
from conan_data.classifier.fit import MODEL_FILES, POSITIVE
from conan_data.classifier.lines import to_line
from conan_data.errors import UserError

KIND = "classifier"
THRESHOLDS = "thresholds.json"


@dataclass(frozen=True)
class Classifier:
    """A model with the settings it was trained with."""

    model: Any
    lowercase: bool
    max_chars: int
    threshold: float
    by_language: dict[str, float]

    @classmethod
    def open(cls, path: str | Path) -> "Classifier":
        """The classifier of an artifact of `conan-data train-classifier`; raises `UserError` for anything
        else.
        """
        opened = artifact.open_artifact(path, kind=KIND)
        thresholds = json.loads((opened.dir / THRESHOLDS).read_text(encoding="utf-8"))
        config = opened.manifest["config"]
        return cls(
            model=load_model(opened.dir / MODEL_FILES[config["fasttext"]["quantise"]]),
            lowercase=config["lowercase"],
            max_chars=config["max_chars"],
            threshold=thresholds["overall"],
            by_language=thresholds["languages"],
        )

    def lines(self, texts: Sequence[str]) -> list[str]:
        """What the model reads of `texts`."""
        return [to_line(text, lowercase=self.lowercase, max_chars=self.max_chars) for text in texts]

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [N], the probability that each text is of the class that is looked for."""
        return score_lines(self.model, self.lines(texts))

    def threshold_of(self, lang: str) -> float:
        """The threshold of a language: its own, or the one over all."""
        return self.by_language.get(lang, self.threshold)


def load_model(path: Path) -> Any:
    """The fastText model in a file; raises `UserError` where fastText cannot be imported or read it."""
    import fasttext

    try:
        return fasttext.load_model(str(path))
    except ValueError as error:
        raise UserError(f"{path}: not a fastText model ({error})") from error


def score_lines(model: Any, lines: list[str]) -> np.ndarray:
    """float32 [N]: the probability of the positive label; of two labels the better one tells the other."""
    labels, chances = model.predict(lines, k=1)
    scores = np.fromiter((chance[0] for chance in chances), dtype=np.float32, count=len(lines))
    is_positive = np.fromiter((label[0] == POSITIVE for label in labels), dtype=bool, count=len(lines))
    # fastText adds 1e-5 to each probability before it takes logarithms.
    return np.clip(np.where(is_positive, scores, 1 - scores), 0, 1)
