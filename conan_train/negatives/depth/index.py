"""The vectors of all documents as far as today's weights are known: encoded, or carried by a map."""

import os
from pathlib import Path

import numpy as np

from conan_data.files import written_aside
from conan_data.mining.embeddings import Embeddings
from conan_train.negatives.depth.carry import SpaceMap

# N documents, R of them, D dimensions

_BLOCK = 65536


class CarriedIndex:
    """A file of float16 [N, D] that is made anew by every refresh; `fresh_N` says which rows are of today."""

    def __init__(self, path: Path, base: Embeddings, map_: SpaceMap) -> None:
        self.path = path
        # Written, not mapped: on a full disk a write fails with a word, and a mapped page ends the process.
        with written_aside(path) as aside, open(aside, "wb") as file:
            for _, block in base.blocks(_BLOCK):
                file.write(map_(block).astype(np.float16).tobytes())
        self.vector_ND = np.memmap(path, np.float16, mode="r+", shape=(len(base), base.dimension))
        self.fresh_N = np.zeros(len(base), bool)
        self._renewed: list[np.ndarray] = []

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
