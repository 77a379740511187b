"""Inverted lists: documents are sorted to the nearest of `lists` centres, and a query looks into `probes` of
the lists.

Centres come from a seeded sample of bounded size, so that training neither reads nor holds all documents.
"""

from typing import Any

import numpy as np

from conan_data.mining.embeddings import Embeddings
from conan_data.mining.search.approximate import ApproximateSearcher

_SAMPLES_A_LIST = 64
_MAX_SAMPLES = 2**18


class IvfSearcher(ApproximateSearcher):
    """See the module and `ApproximateSearcher`."""

    backend = "ivf"
    advice = "raise search.probes"

    def num_lists(self, num_documents: int) -> int:
        """4 sqrt(N), where the settings name none; at most what there are samples for."""
        wanted = self.settings.lists or int(4 * num_documents**0.5)
        return max(1, min(wanted, _MAX_SAMPLES // _SAMPLES_A_LIST, num_documents // 39 or 1))

    def num_probes(self, num_lists: int) -> int:
        """A sixteenth of the lists, and 16 at least, where the settings say nothing."""
        return min(num_lists, self.settings.probes or max(16, num_lists // 16))

    def index_bytes(self, num_documents: int, dimension: int) -> int:
        """Codes and 64-bit ids, the lists half empty in the worst case, and centres."""
        entry = dimension * self.settings.code_bits // 8 + 8
        return int(num_documents * entry * 1.5) + 4 * dimension * self.num_lists(num_documents)

    def _make(self, documents: Embeddings) -> Any:
        faiss, num_lists = self._faiss, self.num_lists(len(documents))
        # The index does not own its centres, so they have to live as long as it does.
        self._centres = faiss.IndexFlatIP(documents.dimension)
        index = faiss.IndexIVFScalarQuantizer(
            self._centres,
            documents.dimension,
            num_lists,
            self._code(),
            faiss.METRIC_INNER_PRODUCT,
            False,
        )
        index.cp.seed = self.settings.seed
        index.cp.max_points_per_centroid = _SAMPLES_A_LIST
        rng = np.random.default_rng(self.settings.seed)
        size = min(len(documents), num_lists * _SAMPLES_A_LIST, self._affordable(documents.dimension))
        rows = np.sort(rng.choice(len(documents), size=size, replace=False))
        index.train(documents.gather(rows).astype(np.float32))
        self.report |= {"lists": num_lists, "probes": self.num_probes(num_lists), "trained_on": size}
        return index

    def _affordable(self, dimension: int) -> int:
        """Samples for a quarter of the memory, in 16 and in 32 bits, and once more within the training."""
        return max(1, self.memory // 4 // (10 * dimension))

    def _set_effort(self, index: Any, k: int) -> None:
        index.nprobe = self.num_probes(index.nlist)

    def _to_gpu(self, index: Any) -> Any:
        return self._faiss.index_cpu_to_gpu(self._faiss.StandardGpuResources(), 0, index)
