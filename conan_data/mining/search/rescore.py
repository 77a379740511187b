"""Exact scores of chosen (query, document) pairs: what every backend's hits are ordered by, so that a score
is the same number whoever found the document.

A dot product of float16 unit vectors has no rounding error in float64 (see `exact`), so the order in which a
library adds does not matter.

Legend: Q queries, T queries of a tile, M candidates, D dimensions, n pairs.
"""

import numpy as np
import torch

from conan_data.mining.embeddings import Embeddings
from conan_data.mining.search.hits import Hits, encode_keys, hits_of_keys

_ELEMENTS = 2**23
"""Values of candidates in float64 at a time."""


def score_rows(
    queries_TD: np.ndarray, documents: Embeddings, rows_TM: torch.Tensor, *, device: str = "cpu"
) -> torch.Tensor:
    """float64 [T, M] on the CPU: the exact scores of chosen rows."""
    documents_TMD = to_tensor(documents.gather(rows_TM.numpy()), device).double()
    queries_TD1 = to_tensor(queries_TD, device).double().unsqueeze(2)
    return torch.bmm(documents_TMD, queries_TD1).squeeze(2).cpu()


def best_of_rows(queries_QD: np.ndarray, documents: Embeddings, rows_QM: np.ndarray, *, k: int) -> Hits:
    """The best `k` of the candidates of each query by their exact scores; a row below 0 is none, and comes
    last with score -inf.
    """
    hits = Hits(np.empty((len(rows_QM), k), np.float32), np.empty((len(rows_QM), k), np.int32))
    size = max(1, _ELEMENTS // max(1, rows_QM.shape[1] * documents.dimension))
    for start in range(0, len(rows_QM), size):
        part = slice(start, start + size)
        rows_TM = torch.from_numpy(rows_QM[part].astype(np.int64))
        missing_TM = rows_TM < 0
        scores_TM = score_rows(queries_QD[part], documents, rows_TM.clamp(min=0))
        scores_TM[missing_TM] = -torch.inf
        keys = encode_keys(scores_TM.float(), rows_TM).topk(k, dim=1).values
        hits.scores[part], hits.rows[part] = hits_of_keys(keys)
    return hits


def pair_scores(
    queries: Embeddings, documents: Embeddings, query_rows: np.ndarray, document_rows: np.ndarray
) -> np.ndarray:
    """float32 [n]: the exact scores of n (query, document) pairs, equal to the bit to those of a search."""
    scores = np.empty(len(query_rows), np.float32)
    for start in range(0, len(query_rows), 1024):
        part = slice(start, start + 1024)
        products = queries.gather(query_rows[part]).astype(np.float64) * documents.gather(
            document_rows[part]
        ).astype(np.float64)
        scores[part] = products.sum(axis=1) + 0.0
    return scores


def to_tensor(array: np.ndarray, device: str) -> torch.Tensor:
    """A copy of what is mapped for reading, which must not be shared with torch; other arrays are shared on
    the CPU.
    """
    return torch.from_numpy(array if array.flags.writeable else np.array(array)).to(device)
