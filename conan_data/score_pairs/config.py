"""Configuration of `conan-data score-pairs`: the teacher, the threshold, and what is judged by hand."""

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Gt, Lt

from conan_data.config import StageConfig, execution, require
from conan_data.fields import Cosine, Count, FileName, NonNegativeInt
from conan_data.inputs import CachePath, DataPath, OptionalModelPath, SomeDataPaths
from conan_data.mining.endpoint_config import EmbeddingServerConfig


@dataclass(frozen=True, kw_only=True)
class ScorePairsConfig(StageConfig):
    """Pairs in, those of them out that a teacher finds alike, with the score; and a sample to judge by hand."""

    pairs: SomeDataPaths
    """Artifacts of `build-pairs`, files of pairs as `conan-train weak` reads them, or retrieval sets."""
    split: FileName = "train"
    """Split of the retrieval sets."""
    model: OptionalModelPath = ""
    """Teacher: a sentence-transformers model (folder, or Hub id with an optional @revision) or a checkpoint of this project."""
    endpoint: EmbeddingServerConfig = field(default_factory=EmbeddingServerConfig)
    """Server of the teacher, instead of a model here."""
    threshold: Cosine = 0.4
    """Pairs that score below it are dropped; languages with enough labels get their own instead."""
    labels: DataPath = ""
    """The `to_label.tsv` of an earlier run, filled in with 1 or yes for a pair that belongs together, 0 or no for others."""
    precision: Annotated[float, Gt(0), Lt(1)] = 0.9
    """Share of good pairs among those kept that a threshold from labels reaches: the lowest that does."""
    min_labels: Count = 50
    """Labels from which a language gets a threshold of its own; the others get that of all labels together."""
    sample: NonNegativeInt = 200
    """Pairs of each language that are written to `to_label.tsv`: a random sample, below the threshold, too."""
    instructions: bool = False
    """Write the kept pairs as `instruction, input, output` too, below `sft`, for `conan-train sft --data`."""
    max_length: Count | None = None
    """Tokens of a text that the model reads; None for the model's own limit."""
    query_prompt: str | None = None
    """Text put before every query; None for the model's own prompt."""
    document_prompt: str | None = None
    """Text put before every document; None for the model's own prompt."""
    batch_tokens: Count = 16384
    """Tokens of one forward pass, padding included (another value changes the last bits of the vectors)."""
    part_pairs: Count = 8192
    """Pairs that are scored between two savings; a killed run goes on from the last one."""
    shard_pairs: Count = 1_000_000
    """Pairs of one output file."""
    cache: CachePath = execution("")
    """Directory of vectors that runs share: scoring the same pairs again, with labels, encodes nothing."""
    device: str = "auto"
    """Where to encode: auto, cpu, cuda, cuda:1, mps."""

    def check(self) -> None:
        super().check()
        require(
            bool(self.model) != bool(self.endpoint.base_url),
            "model",
            self.model,
            "name either a model or endpoint.base_url",
        )
        require(
            not self.endpoint.base_url or bool(self.endpoint.model),
            "endpoint.model",
            self.endpoint.model,
            "is needed for an endpoint",
        )
