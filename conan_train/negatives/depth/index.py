"""The vectors of all documents as far as today's weights are known: encoded, or carried by a map."""

import os
from pathlib import Path

import numpy as np

from conan_data.mining.embeddings import Embeddings
from conan_train.negatives.depth.carry import SpaceMap

# N documents, R of them, D dimensions

_BLOCK = 65536


class CarriedIndex:
    """A file of float16 [N, D] that is made anew by every refresh; `fresh_N` says which rows are of today."""

    def __init__(self, path: Path, base: Embeddings, map_: SpaceMap) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.vector_ND = np.lib.format.open_memmap(
            path, mode="w+", dtype=np.float16, shape=(len(base), base.dimension)
        )
        self.fresh_N = np.zeros(len(base), bool)
        self._renewed: list[np.ndarray] = []
        for start, block in base.blocks(_BLOCK):
            self.vector_ND[start : start + len(block)] = map_(block)

    def carry(self, row_R: np.ndarray, then_RD: np.ndarray, map_: SpaceMap) -> None:
        """Rows that were encoded later than the base, with a map from their own time."""
        stale_R = ~self.fresh_N[row_R]
        self.vector_ND[row_R[stale_R]] = map_(then_RD[stale_R])

    def renew(self, row_R: np.ndarray, now_RD: np.ndarray) -> None:
        """Rows that were encoded with today's weights."""
        self.vector_ND[row_R] = now_RD
        self.fresh_N[row_R] = True
        self._renewed.append(row_R.astype(np.int64))

    @property
    def renewed_rows(self) -> np.ndarray:
        """int64, in the order in which they were renewed."""
        return np.concatenate(self._renewed) if self._renewed else np.zeros(0, np.int64)

    @property
    def embeddings(self) -> Embeddings:
        return Embeddings([self.vector_ND], dimension=self.vector_ND.shape[1])

    def close(self) -> None:
        del self.vector_ND
        os.unlink(self.path)
