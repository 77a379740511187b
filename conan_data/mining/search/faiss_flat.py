"""Exact search whose screening is done by FAISS, on the CPU or, where `faiss-gpu` is installed, on a GPU.

All but the float32 product is that of `exact`: blocks of documents, float64 scores of the best candidates, and
the check that nothing can be missing. So the hits are the same to the bit.
"""

import numpy as np
import torch

from conan_data.errors import UserError
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.search.exact import ExactSearcher, Plan
from conan_data.mining.search.faiss_library import has_gpu, load_faiss
from conan_data.mining.search.hits import Hits, merge
from conan_data.progress import progress

_GPU_WIDTH = 2048
"""Neighbours that FAISS finds on a GPU at most."""


class FaissFlatSearcher(ExactSearcher):
    """See `ExactSearcher`; a device of cuda takes the GPU build of FAISS."""

    backend = "faiss-flat"

    def __init__(self, *, memory: int, device: str = "cpu") -> None:
        super().__init__(memory=memory, device=device, screening="float32")
        self._faiss = load_faiss()
        self._resources = None
        if self.device.startswith("cuda"):
            if not has_gpu(self._faiss):
                raise UserError(
                    "search.backend: this FAISS has no GPU support; pip install faiss-gpu, or use --device cpu"
                )
            self._resources = self._faiss.StandardGpuResources()

    def _screen(
        self, queries_BD: np.ndarray, documents: Embeddings, *, num_candidates: int, sizes: Plan
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self._resources is not None and num_candidates > _GPU_WIDTH:
            return super()._screen(queries_BD, documents, num_candidates=num_candidates, sizes=sizes)
        best = Hits(
            np.full((len(queries_BD), num_candidates), -np.inf, np.float32),
            np.full((len(queries_BD), num_candidates), -1, np.int32),
        )
        num_blocks = -(-len(documents) // sizes.block)
        for start, block in progress(
            documents.blocks(sizes.block), "searching", total=num_blocks, unit="block"
        ):
            documents_CD = block.astype(np.float32)
            for first in range(0, len(queries_BD), sizes.tile):
                tile = slice(first, first + sizes.tile)
                scores, columns = self._nearest(
                    queries_BD[tile], documents_CD, min(num_candidates, len(block))
                )
                here = Hits(best.scores[tile], best.rows[tile])
                merged = merge([here, Hits(scores, (columns + start).astype(np.int32))], k=num_candidates)
                best.scores[tile], best.rows[tile] = merged
        return torch.from_numpy(best.scores), torch.from_numpy(best.rows)

    def _nearest(
        self, queries_TD: np.ndarray, documents_CD: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """float32 and int64 [T, k]"""
        faiss, queries = self._faiss, queries_TD.astype(np.float32)
        if self._resources is None:
            return faiss.knn(queries, documents_CD, k, metric=faiss.METRIC_INNER_PRODUCT)
        return faiss.knn_gpu(self._resources, queries, documents_CD, k, metric=faiss.METRIC_INNER_PRODUCT)
