"""A search that several processes share: each searches all documents for its part of the queries, and rank 0
gets the hits.

Queries are cut and not documents: a query's hits come from one process, so they are the same for any number
of processes without a merge, nothing but final hits crosses, and each process reads the documents from the
folder that all see. All ranks make the same calls in the same order; only what rank 0 gets is whole.
"""

from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from conan_data.distributed import Ranks
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.search.hits import Hits, Searcher, hit_keys, hits_of_keys
from conan_data.mining.search.plan import SPARE, plan


class SharedSearcher:
    """`inner`, on every rank of `ranks`, in `memory` bytes each."""

    def __init__(self, inner: Searcher, ranks: Ranks, *, memory: int) -> None:
        self.inner, self.ranks, self.memory = inner, ranks, memory

    @property
    def report(self) -> dict[str, Any]:
        """See `Searcher`."""
        return self.inner.report

    def prepare(self, queries: Embeddings, documents: Embeddings, *, k: int) -> None:
        """See `Searcher`; an index is built on every rank."""
        self.inner.prepare(queries, documents, k=k)

    def batch_size(self, *, dimension: int, k: int) -> int:
        """See `Searcher`; the same on all ranks, whatever hardware they have, and so that the hits of all take
        a quarter of rank 0's memory at most.
        """
        sizes = plan(self.memory, dimension=dimension, num_candidates=k + SPARE, device="cpu")
        gathered = self.memory // 4 // (24 * k + 2 * dimension)
        return max(self.ranks.world_size, min(self.ranks.world_size * sizes.batch, gathered))

    def search(self, queries_QD: np.ndarray, documents: Embeddings, *, k: int) -> Hits:
        """See `Searcher`; other ranks than 0 get the hits of their own part."""
        parts = [self._part(len(queries_QD), rank) for rank in range(self.ranks.world_size)]
        own = self.inner.search(queries_QD[parts[self.ranks.rank]], documents, k=k)
        if self.ranks.rank > 0:
            dist.send(hit_keys(own).contiguous(), dst=0)
            return own
        width = own.rows.shape[1]
        hits = Hits(
            np.empty((len(queries_QD), width), np.float32), np.empty((len(queries_QD), width), np.int32)
        )
        hits.scores[parts[0]], hits.rows[parts[0]] = own
        for rank in range(1, self.ranks.world_size):
            keys = torch.empty((parts[rank].stop - parts[rank].start, width), dtype=torch.int64)
            dist.recv(keys, src=rank)
            hits.scores[parts[rank]], hits.rows[parts[rank]] = hits_of_keys(keys)
        return hits

    def _part(self, num_queries: int, rank: int) -> slice:
        size = self.ranks.world_size
        return slice(num_queries * rank // size, num_queries * (rank + 1) // size)
