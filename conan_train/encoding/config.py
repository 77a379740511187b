"""What encoding is told: the texts, the model, and how its vectors are kept."""

import dataclasses
from typing import Literal

from conan_data.config import StageConfig, execution, require
from conan_data.fields import Count, FileName, Name
from conan_data.inputs import CachePath, DataPath, DataPaths, ModelPath


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodeConfig(StageConfig):
    """Turn texts into vectors; under torchrun every process makes its share of the shards."""

    model: ModelPath
    """Encoder: a checkpoint of this project, or a sentence-transformers model (folder, or Hub id with an
    optional @revision).
    """
    inputs: DataPaths = ()
    """Texts: files, folders, globs, a corpus artifact, `hf://` names or `sample`."""
    text_field: Name = "text"
    """Field of a row that holds its text (`meta.body` reaches inside)."""
    id_field: str = "id"
    """Field of a row that holds its id; a row without one is named by its file and place."""
    data: DataPath = ""
    """Retrieval set, in place of `inputs`: its documents with their titles, or its queries (see `kind`)."""
    split: FileName = "train"
    """Split of the retrieval set."""
    kind: Literal["document", "query"] = "document"
    """What the texts are: decides the prompt, and the part of a retrieval set."""
    dims: Count | None = None
    """First numbers of a vector that are kept, scaled to length 1 again (for models trained for that); None
    for all.
    """
    storage: Literal["float16", "int8"] = "float16"
    """How a number is kept; int8 halves the size and costs some recall."""
    max_length: Count | None = None
    """Tokens of a text that the model reads; None for the model's own limit."""
    prompt: str | None = None
    """Text put before every text; None for the model's own prompt."""
    batch_tokens: Count = 16384
    """Tokens of one forward pass at most, padding included (another value changes the last bits)."""
    shard_size: Count = 16384
    """Texts of a file, encoded between two savings."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What the weights are read as; auto: as they were saved."""
    device: str = execution("auto")
    """Where to encode: auto, cpu, cuda, cuda:1, mps. Under torchrun, auto and cuda give each process a GPU."""
    cache: CachePath = execution("")
    """Directory of shards that runs share: what is there already is not encoded again."""

    def check(self) -> None:
        super().check()
        require(
            bool(self.inputs) != bool(self.data),
            "inputs",
            self.inputs,
            "name either inputs or data, not both",
        )
