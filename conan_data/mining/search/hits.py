"""What a search gives, and the one order that all backends keep: score descending, then row ascending.

An order that is left to the backend differs with the number of threads, of shards and of processes wherever
two scores are equal, so each hit is turned into one integer *key*, and all sorting and merging is of keys.

Legend: Q queries, k hits of a query.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from conan_data.mining.embeddings import Embeddings

_LAST_ROW = 2**32 - 1


class Hits(NamedTuple):
    """Best first; where there are fewer than k documents, the width is their number."""

    scores: np.ndarray
    """float32 [Q, k], descending."""
    rows: np.ndarray
    """int32 [Q, k]; ascending where scores are equal."""


class Searcher(Protocol):
    """Finds nearest documents; every implementation gives the same `Hits` or says that it is approximate."""

    @property
    def report(self) -> dict[str, Any]:
        """What a manifest says of the search: backend, settings, and the recall that was measured."""
        ...

    def prepare(self, queries: Embeddings, documents: Embeddings, *, k: int) -> None:
        """What is done once for these documents, before searches for about `k`; fills `report`."""
        ...

    def batch_size(self, *, dimension: int, k: int) -> int:
        """How many queries one pass over the documents serves; more of them in a call cost more passes."""
        ...

    def search(self, queries_QD: np.ndarray, documents: Embeddings, *, k: int) -> Hits:
        """The `k` documents with the highest score for each query; `queries_QD` is float16, of length about
        1. An approximate searcher fills up with row -1 and score -inf where it finds fewer.
        """
        ...


def merge(parts: Sequence[Hits], *, k: int) -> Hits:
    """The best `k` of the hits that searches of different documents gave for the same queries, in whatever
    order.

    A row below 0 is no hit.
    """
    keys = torch.cat([hit_keys(part) for part in parts], dim=1)
    best = keys.topk(min(k, keys.shape[1]), dim=1).values
    return hits_of_keys(best)


def hit_keys(hits: Hits) -> torch.Tensor:
    """int64 [Q, k]: see `encode_keys`."""
    return encode_keys(torch.from_numpy(hits.scores), torch.from_numpy(hits.rows))


def hits_of_keys(keys_Qk: torch.Tensor) -> Hits:
    """The hits of keys that are sorted already, descending."""
    scores, rows = decode_keys(keys_Qk)
    return Hits(scores.numpy(), rows.numpy())


def encode_keys(scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """int64 keys whose order is (score ascending, row descending): the largest key is the best hit, and no
    two are equal.

    The bits of a float32, read as an integer, order like the number when those of negative numbers are
    flipped; -0.0 is made 0.0 first. A row of -1 is the last of all rows.
    """
    bits = (scores + 0.0).view(torch.int32)
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return ordered.long() * 2**32 + (_LAST_ROW - (rows.long() & _LAST_ROW))


def decode_keys(keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 scores and int32 rows of keys."""
    bits = (keys >> 32).int()
    rows = _LAST_ROW - (keys & _LAST_ROW)
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).contiguous().view(torch.float32), rows.int()
