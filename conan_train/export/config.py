"""What an export is told: the trained model, and what its card should say."""

import dataclasses

from conan_data.config import StageConfig, require, source


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig(StageConfig):
    """Write a trained embedder as a plain sentence-transformers folder that loads without this project."""

    model: str = source()
    """Embedder artifact."""
    name: str = ""
    """Name of the model in its card; empty: the name of the output folder."""
    dims: tuple[int, ...] = ()
    """Shorter vector sizes that the model was trained for (Matryoshka); the card documents how to use them.
    """
    languages: tuple[str, ...] = ()
    """Languages that the card lists, as ISO codes."""
    license: str = ""
    """License that the card names, as an identifier of the Hub such as apache-2.0."""

    def __post_init__(self) -> None:
        require(bool(self.model), "model", self.model, "name an embedder artifact")
        require(all(size >= 1 for size in self.dims), "dims", self.dims, "must be at least 1")
        require(len(set(self.dims)) == len(self.dims), "dims", self.dims, "name each size once")
