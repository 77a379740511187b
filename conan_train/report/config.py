"""What a report is told: which artifacts it shows."""

import dataclasses

from conan_data.config import StageConfig, require, source


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig(StageConfig):
    """Draw artifacts into one self-contained HTML page; what is not given is left out."""

    inputs: tuple[str, ...] = source()
    """Artifacts in any order: corpus, retrieval, negatives, tokenizer, language-model, embedder, evaluation,
    sentence-transformers.
    """
    title: str = "Training report"
    """Headline of the page."""

    def __post_init__(self) -> None:
        require(len(self.inputs) > 0, "inputs", self.inputs, "name at least one artifact")
        require(len(set(self.inputs)) == len(self.inputs), "inputs", self.inputs, "name each artifact once")
