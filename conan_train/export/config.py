"""What an export is told: the trained model, and what its card should say."""

import dataclasses
from typing import Annotated

from conan_data.config import StageConfig
from conan_data.fields import DISTINCT, Count
from conan_data.inputs import ModelPath


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig(StageConfig):
    """Write a trained embedder as a plain sentence-transformers folder that loads without this project."""

    model: ModelPath
    """Embedder artifact, or a checkpoint of its training (RUN@STEP)."""
    name: str = ""
    """Name of the model in its card; empty: the name of the output folder."""
    dims: Annotated[tuple[Count, ...], DISTINCT] = ()
    """Shorter vector sizes that the model was trained for (Matryoshka); the card documents how to use them.
    """
    languages: tuple[str, ...] = ()
    """Languages that the card lists, as ISO codes."""
    license: str = ""
    """License that the card names, as an identifier of the Hub such as apache-2.0."""
