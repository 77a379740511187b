"""A navigable graph: each document knows `neighbours` others, and a query walks towards its nearest ones with
a list of `breadth` candidates.

The graph depends on the order in which threads add documents, so another run may miss other ones. There is no
such graph on a GPU.
"""

from typing import Any

import numpy as np

from conan_data.mining.embeddings import Embeddings
from conan_data.mining.search.approximate import ApproximateSearcher

_CONSTRUCTION = 100


class HnswSearcher(ApproximateSearcher):
    """See the module and `ApproximateSearcher`."""

    backend = "hnsw"
    advice = "raise search.breadth, or search.neighbours"

    def index_bytes(self, num_documents: int, dimension: int) -> int:
        """Codes, the links of the lowest level (twice as many as of the others) and some more, offsets."""
        links = 4 * int(2.2 * self.settings.neighbours)
        return num_documents * (dimension * self.settings.code_bits // 8 + links + 24)

    def _make(self, documents: Embeddings) -> Any:
        index = self._faiss.IndexHNSWSQ(
            documents.dimension, self._code(), self.settings.neighbours, self._faiss.METRIC_INNER_PRODUCT
        )
        index.hnsw.efConstruction = max(_CONSTRUCTION, 2 * self.settings.neighbours)
        if not index.is_trained:
            index.train(documents.gather(self._sample(documents)).astype(np.float32))
        self.report |= {"neighbours": self.settings.neighbours}
        return index

    def _sample(self, documents: Embeddings) -> np.ndarray:
        size = min(len(documents), max(1, self.memory // 4 // (10 * documents.dimension)), 2**16)
        return np.sort(np.random.default_rng(self.settings.seed).choice(len(documents), size, replace=False))

    def _set_effort(self, index: Any, k: int) -> None:
        index.hnsw.efSearch = self.settings.breadth or max(128, 2 * k)
        self.report["breadth"] = index.hnsw.efSearch
