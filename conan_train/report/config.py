"""What a report is told: which artifacts it shows."""

import dataclasses
from typing import Annotated

from conan_data.config import StageConfig, source
from conan_data.fields import DISTINCT, Names


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig(StageConfig):
    """Draw artifacts into one self-contained HTML page; what is not given is left out."""

    inputs: Annotated[Names, DISTINCT] = source()
    """Artifacts in any order: corpus, retrieval, negatives, tokenizer, language-model, embedder, evaluation,
    sentence-transformers.
    """
    title: str = "Training report"
    """Headline of the page."""
