"""How deep a refresh of negatives goes, behind one method.

Where and when a refresh runs (between two steps, in a process beside the trainer, on another host) and how much
of the corpus it encodes are two questions, and every answer to one has to work with every answer to the other. So
a miner knows an encoder, the set and a folder of its own that outlives a refresh, and neither the trainer nor
the other processes. It mines the same from the same weights, wherever it is called.

`FullMiner` encodes everything. Its check against stale vectors is cheap and independent of fingerprints: a few
documents are encoded again and compared with what is about to be searched.
"""

import functools
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from conan_data.mining.arrays import document_texts
from conan_data.mining.config import SelectionConfig
from conan_data.mining.embeddings import Embeddings, encode_to_shards
from conan_data.mining.encoder import Encoder
from conan_data.mining.pools import pools_of_vectors
from conan_data.mining.search.exact import ExactSearcher
from conan_data.mining.selection import Pools
from conan_data.pairs.pair_set import PairSet
from conan_train.negatives.generation import Generation
from conan_train.negatives.sharing import SharedShards

# S documents of a sample, D dimensions

_SAMPLE = 8
_SAME = 0.99
"""Least cosine of two vectors of one text by one model: batches and half precision change the last bits only."""


@dataclass(frozen=True, kw_only=True)
class Mining:
    """What a refresh found, and what it took."""

    pools: Pools
    """Of all queries, in the order of the set; a miner that looks at a window carries the others over."""
    num_documents: int
    """Documents that were encoded."""
    num_queries: int
    """Queries that were encoded."""
    depth: str
    """full, window, ..."""
    figures: dict[str, float] = field(default_factory=dict)
    """More for the log, such as the error of a map."""


class Miner(Protocol):
    """Chooses pools of negatives with an encoder's vectors."""

    def mine(self, encoder: Encoder, *, step: int, window: np.ndarray | None, previous: Generation) -> Mining:
        """`encoder` stands for the weights after `step` steps, `window` are the rows of the queries of the steps
        from there to the next refresh (None where nobody knows), `previous` is the generation in use. One that
        was killed is called again with the same arguments, or with those of a later step.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class FullMiner:
    """Encodes all queries and documents, and searches exactly."""

    pairs: PairSet
    selection: SelectionConfig
    memory: int
    """Bytes that the search may take."""
    device: str
    """Where the search computes."""
    folder: Path
    """Vectors lie here while they are used; a mining that was killed goes on with them."""
    shared: Callable[[int], SharedShards] | None = None
    """Those of the refresh at a step, where other services take part in the encoding."""

    def mine(self, encoder: Encoder, *, step: int, window: np.ndarray | None, previous: Generation) -> Mining:
        data = self.pairs.data
        texts, ids = document_texts(data.corpus), data.corpus.column("_id")
        encode = functools.partial(encode_to_shards, encoder)
        shared = self.shared(step) if self.shared is not None else None
        if shared is not None:
            shared.open()
            shared.fill(encoder, data)
            encode = functools.partial(encode, shard_size=shared.shard_size, cache=shared.folder)
        queries = encode(
            data.queries.column("text"), data.queries.column("_id"), self.folder / "queries", kind="query"
        )
        documents = encode(texts, ids, self.folder / "corpus", kind="document")
        check_fresh(encoder, data.corpus, documents, step=step)
        searcher = ExactSearcher(memory=self.memory, device=self.device)
        pools = pools_of_vectors(queries, documents, self.pairs.arrays, self.selection, searcher=searcher)
        del queries, documents
        shutil.rmtree(self.folder)
        if shared is not None:
            shared.remove()
        return Mining(
            pools=pools, num_documents=data.corpus.num_rows, num_queries=data.queries.num_rows, depth="full"
        )


def check_fresh(encoder: Encoder, corpus: pa.Table, documents: Embeddings, *, step: int) -> None:
    """Compares the vectors of a few documents, others at every step, with those that `encoder` gives now."""
    size = min(_SAMPLE, len(documents))
    row_S = np.sort(np.random.default_rng([step, 4]).choice(len(documents), size, replace=False))
    again_SD = encoder.encode(list(document_texts(corpus.take(row_S))), kind="document")
    cosine_S = (again_SD * documents.gather(row_S).astype(np.float32)).sum(1)
    assert (cosine_S > _SAME).all(), (
        f"vectors are not those of the current weights (least cosine {cosine_S.min():.3f}): a stale cache"
    )
