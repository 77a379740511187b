"""Search in a FAISS index, which misses some of the nearest documents, and says how many.

An index trades recall for time, and how much depends on the vectors: settings that find 99% with one model
find 80% with the next, and nothing fails. So recall is measured in every run, against the exact search, for a
seeded sample of the queries, and stands in the log and in the manifest; below `min_recall` there is a warning.

What the index finds is scored again with the stored vectors, exactly, so the hits of an approximate search
differ from those of an exact one only by what is missing: scores and order are the same.

The index lies in memory. Where it does not fit, the search is refused with what it needs, instead of quietly
taking coarser codes: the same command must not find other documents on another machine.
"""

import logging
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from conan_data.errors import UserError
from conan_data.mining.config import SearchConfig
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.search.exact import SPARE, ExactSearcher
from conan_data.mining.search.faiss_library import has_gpu, load_faiss
from conan_data.mining.search.hits import Hits
from conan_data.mining.search.rescore import best_of_rows
from conan_data.progress import progress

log = logging.getLogger(__name__)

_ROWS_A_BLOCK = 16384


class ApproximateSearcher(ABC):
    """An index over all documents of the last `prepare` or `search`, with codes of 16 or 8 bits a value."""

    backend: str
    advice: str
    """What to change where recall is low."""

    def __init__(self, settings: SearchConfig, *, memory: int, device: str = "cpu") -> None:
        self.settings, self.memory, self.device = settings, memory, device
        self.report: dict[str, Any] = {"backend": self.backend}
        self._faiss = load_faiss()
        self._documents: Embeddings | None = None
        self._index: Any = None

    @abstractmethod
    def index_bytes(self, num_documents: int, dimension: int) -> int:
        """What the finished index takes."""

    @abstractmethod
    def _make(self, documents: Embeddings) -> Any:
        """An empty index, trained where it has to be."""

    @abstractmethod
    def _set_effort(self, index: Any, k: int) -> None:
        """Sets how widely `index` searches for `k`."""

    def batch_size(self, *, dimension: int, k: int) -> int:
        """See `Searcher`; a quarter of the memory holds the hits of a call."""
        return max(1, self.memory // 4 // (32 * (k + SPARE) + 8 * dimension))

    def prepare(self, queries: Embeddings, documents: Embeddings, *, k: int) -> None:
        """Builds the index and measures its recall at `k`."""
        self._build(documents)
        rng = np.random.default_rng(self.settings.seed)
        size = min(self.settings.recall_sample, len(queries))
        sample = np.sort(rng.choice(len(queries), size=size, replace=False))
        found = recall(self, queries.gather(sample), documents, k=k, memory=self.memory // 4)
        self.report |= {"recall": round(found, 4), "recall_k": k, "recall_queries": len(sample)}
        say = log.warning if found < self.settings.min_recall else log.info
        say(
            "%s: recall@%d %.3f against exact search, on %d queries%s",
            self.backend,
            k,
            found,
            len(sample),
            ""
            if found >= self.settings.min_recall
            else f" (wanted: {self.settings.min_recall}); {self.advice}",
        )

    def search(self, queries_QD: np.ndarray, documents: Embeddings, *, k: int) -> Hits:
        """See `Searcher`."""
        k = min(k, len(documents))
        if k == 0 or len(queries_QD) == 0:
            return Hits(np.empty((len(queries_QD), k), np.float32), np.empty((len(queries_QD), k), np.int32))
        self._build(documents)
        width = min(k + SPARE, len(documents))
        self._set_effort(self._index, width)
        rows = np.empty((len(queries_QD), width), np.int64)
        for start in range(0, len(queries_QD), 1024):
            part = slice(start, start + 1024)
            rows[part] = self._index.search(queries_QD[part].astype(np.float32), width)[1]
        return best_of_rows(queries_QD, documents, rows, k=k)

    def _build(self, documents: Embeddings) -> None:
        if documents is self._documents:
            return
        needed = self.index_bytes(len(documents), documents.dimension)
        if needed > self.memory // 2:
            smaller = " or take 8-bit codes (search.code_bits 8)" if self.settings.code_bits == 16 else ""
            raise UserError(
                f"memory: the {self.backend} index takes {needed:,} bytes, and may take half; give at least {2 * needed:,}{smaller}"
            )
        index = self._make(documents)
        num_blocks = -(-len(documents) // _ROWS_A_BLOCK)
        for _, block in progress(documents.blocks(_ROWS_A_BLOCK), "indexing", total=num_blocks, unit="block"):
            index.add(block.astype(np.float32))
        if self.device.startswith("cuda") and has_gpu(self._faiss):
            index = self._to_gpu(index)
        self._index, self._documents = index, documents

    def _to_gpu(self, index: Any) -> Any:
        """The index on a GPU, where FAISS has such a one."""
        return index

    def _code(self) -> Any:
        quantizer = self._faiss.ScalarQuantizer
        # 16 bits hold the stored vectors without loss.
        return quantizer.QT_fp16 if self.settings.code_bits == 16 else quantizer.QT_8bit


def recall(
    searcher: "ApproximateSearcher", queries_QD: np.ndarray, documents: Embeddings, *, k: int, memory: int
) -> float:
    """The share of the exact search's hits that `searcher` finds; 1 for no queries."""
    exact = ExactSearcher(memory=memory).search(queries_QD, documents, k=k).rows
    found = searcher.search(queries_QD, documents, k=k).rows
    if exact.size == 0:
        return 1.0
    both = sum(len(np.intersect1d(one, other)) for one, other in zip(exact, found, strict=True))
    return both / exact.size
