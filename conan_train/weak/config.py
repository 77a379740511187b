"""What the weakly supervised stage is told."""

from dataclasses import dataclass

from conan_data.config import require
from conan_data.fields import NonNegativeInt
from conan_train.embedding.config import EmbeddingConfig
from conan_train.tasks.config import PairsConfig


@dataclass(frozen=True, kw_only=True)
class WeakConfig(EmbeddingConfig, PairsConfig):
    """Train an embedding model on pairs, with the other pairs of a step as negatives, while the mask opens."""

    num_negatives: NonNegativeInt = 7
    """Negatives that the data name for a query (neg, negatives, negative_1, negative_passages, or label 0) and that it
    trains on beside the other pairs of a step: the first so many; 0 for none.
    """

    def check(self) -> None:
        super().check()
        require(len(self.data) > 0, "data", self.data, "name at least one file, folder or retrieval set")
        require(
            self.batch_size >= 2,
            "batch_size",
            self.batch_size,
            "must be at least 2: the others are the negatives",
        )
