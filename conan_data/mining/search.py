"""Exact nearest documents by cosine, whose result does not depend on how it was computed.

A matrix product in float32 rounds differently with the shape of its blocks, the number of threads and the
device. With near duplicates in a corpus that decides who is in the top k, so "the same command" gives other
negatives on another machine. What is guaranteed here: for given float16 vectors, ids, order and scores are
always the same, to the bit, for every block size, memory bound, thread count and device. A score is the dot
product of the float16 vectors without any rounding error, rounded once to float32; the order is (score
descending, row ascending).

How: a float16 number is a multiple of 2**-24, so a product of two is a multiple of 2**-48, and for vectors of
length about 1 no partial sum exceeds 2: float64 holds all of them exactly, in any order. A whole search in
float64 is slow, so a float32 product first screens the documents, and the best k + `SPARE` of each query are
scored again in float64. Every document that was left out has a float32 score of at most the cutoff; if the
k-th exact score is over cutoff + the error bound of the float32 product, nothing is missing. Queries for
which that does not hold (many equal or almost equal scores around rank k) are searched again in float64 as a
whole.

Memory: working arrays stay under the bound that is given; not counted are the result, the mapped files (the
system may drop their pages at any time) and what torch allocates when it is first used.

Legend: Q queries, B queries of one pass, T queries of a tile, N documents, C documents of a block, M
candidates, D dimensions.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch

from conan_data.errors import UserError
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.encoder import resolve_device
from conan_data.progress import progress

log = logging.getLogger(__name__)

SPARE = 32
"""Candidates scored again beyond k."""
_LAST_ROW = 2**32 - 1
_MAX_BLOCK = {"cpu": 8192, "mps": 16384, "cuda": 65536}
_MAX_TILE = {"cpu": 256, "mps": 1024, "cuda": 4096}


class Hits(NamedTuple):
    """Best first; where there are fewer than k documents, the width is their number."""

    scores: np.ndarray
    """float32 [Q, k], descending."""
    rows: np.ndarray
    """int32 [Q, k]; ascending where scores are equal."""


class Searcher(Protocol):
    """Finds nearest documents; every implementation gives the same `Hits` or says that it is approximate."""

    def batch_size(self, *, dimension: int, k: int) -> int:
        """How many queries one pass over the documents serves; more of them in a call cost more passes."""
        ...

    def search(self, queries_QD: np.ndarray, documents: Embeddings, *, k: int) -> Hits:
        """The `k` documents with the highest score for each query; `queries_QD` is float16, of length about
        1.
        """
        ...


@dataclass(frozen=True)
class Plan:
    """Sizes of the working arrays (see the legend), and an upper bound of the bytes that they take together."""

    batch: int
    tile: int
    block: int
    bytes: int


def plan(memory: int, *, dimension: int, num_candidates: int, device: str) -> Plan:
    """The largest sizes that keep the working arrays under `memory` bytes; raises `UserError` when the
    smallest do not.

    A block costs its float16, float32 and float64 forms; a tile its scores and the candidates of two steps; a
    query of the pass its candidates and result.
    """
    kind = torch.device(device).type
    block, tile = _MAX_BLOCK.get(kind, 8192), _MAX_TILE.get(kind, 256)

    def block_bytes() -> int:
        return block * dimension * (2 + 4 + 8)

    def tile_bytes() -> int:
        screening = 4 * block + 40 * (num_candidates + min(block, num_candidates))
        rescoring = num_candidates * (dimension * (2 + 8) + 60)
        exact = 64 * block
        return tile * (12 * dimension + max(screening, rescoring, exact))

    per_query = 4 * dimension + 48 * num_candidates
    while block_bytes() > memory // 4 and block > 256:
        block //= 2
    while tile_bytes() > memory // 2 and tile > 1:
        tile //= 2
    batch = (memory - block_bytes() - tile_bytes()) // per_query
    if batch < 1:
        needed = block_bytes() + tile_bytes() + per_query
        raise UserError(
            f"memory: {memory:,} bytes are not enough for {num_candidates} candidates of dimension {dimension}; give at least {needed:,}"
        )
    return Plan(
        batch=batch,
        tile=min(tile, batch),
        block=block,
        bytes=block_bytes() + tile_bytes() + batch * per_query,
    )


class ExactSearcher:
    """Searches all documents with torch, in `memory` bytes; see the module for what is guaranteed."""

    def __init__(self, *, memory: int, device: str = "cpu") -> None:
        self.memory = memory
        self.device = resolve_device(device)
        self._exact_device = "cpu" if self.device.startswith("mps") else self.device

    def batch_size(self, *, dimension: int, k: int) -> int:
        return self._plan(dimension, k + SPARE).batch

    def search(self, queries_QD: np.ndarray, documents: Embeddings, *, k: int) -> Hits:
        assert queries_QD.dtype == np.float16 and queries_QD.shape[1] == documents.dimension, (
            "queries and documents are of different encoders"
        )
        assert len(documents) <= np.iinfo(np.int32).max
        k = min(k, len(documents))
        hits = Hits(np.empty((len(queries_QD), k), np.float32), np.empty((len(queries_QD), k), np.int32))
        if k == 0:
            return hits
        sizes = self._plan(documents.dimension, min(k + SPARE, len(documents)))
        for start in range(0, len(queries_QD), sizes.batch):
            part = slice(start, start + sizes.batch)
            hits.scores[part], hits.rows[part] = self._search_batch(
                queries_QD[part], documents, k=k, sizes=sizes
            )
        return hits

    def _plan(self, dimension: int, num_candidates: int) -> Plan:
        return plan(self.memory, dimension=dimension, num_candidates=num_candidates, device=self.device)

    def _search_batch(self, queries_BD: np.ndarray, documents: Embeddings, *, k: int, sizes: Plan) -> Hits:
        num_candidates = min(k + SPARE, len(documents))
        scores_BM, rows_BM = self._screen(queries_BD, documents, num_candidates=num_candidates, sizes=sizes)
        bound = error_bound(documents.dimension, self.device)
        keys_Bk = torch.empty((len(queries_BD), k), dtype=torch.int64)
        complete_B = torch.empty(len(queries_BD), dtype=torch.bool)
        for tile in _tiles(len(queries_BD), sizes.tile):
            screened_TM = scores_BM[tile].cpu()
            exact_TM = self._score(queries_BD[tile], documents, rows_BM[tile].cpu())
            keys_Bk[tile] = (
                _keys(exact_TM.float(), rows_BM[tile].cpu()).sort(dim=1, descending=True).values[:, :k]
            )
            kth_T = _decode(keys_Bk[tile, -1])[0].double()
            as_promised_T = ((screened_TM.double() - exact_TM).abs() <= bound).all(dim=1)
            complete_B[tile] = as_promised_T & (kth_T > screened_TM.min(dim=1).values.double() + bound)
        if num_candidates < len(documents) and not complete_B.all():
            doubtful = torch.nonzero(~complete_B).flatten()
            log.debug(
                "%d of %d queries have too many close scores at rank %d: searched in float64",
                len(doubtful),
                len(complete_B),
                k,
            )
            keys_Bk[doubtful] = self._search_exactly(
                queries_BD[doubtful.numpy()], documents, k=k, sizes=sizes
            )
        scores_Bk, rows_Bk = _decode(keys_Bk)
        return Hits(scores_Bk.numpy(), rows_Bk.numpy())

    def _screen(
        self, queries_BD: np.ndarray, documents: Embeddings, *, num_candidates: int, sizes: Plan
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 scores and int64 rows [B, M] of the best candidates by a float32 product, in no particular
        order.
        """
        scores_BM = torch.full((len(queries_BD), num_candidates), -torch.inf, device=self.device)
        rows_BM = torch.zeros((len(queries_BD), num_candidates), dtype=torch.int32, device=self.device)
        num_blocks = -(-len(documents) // sizes.block)
        for start, block in progress(
            documents.blocks(sizes.block), "searching", total=num_blocks, unit="block"
        ):
            documents_CD = _tensor(block, self.device).float()
            for tile in _tiles(len(queries_BD), sizes.tile):
                scores_TC = _tensor(queries_BD[tile], self.device).float() @ documents_CD.T
                best, columns = scores_TC.topk(min(num_candidates, len(block)), dim=1, sorted=False)
                merged = torch.cat((scores_BM[tile], best), dim=1)
                rows = torch.cat((rows_BM[tile], (columns + start).int()), dim=1)
                scores_BM[tile], picked = merged.topk(num_candidates, dim=1, sorted=False)
                rows_BM[tile] = rows.gather(1, picked)
        return scores_BM, rows_BM

    def _score(self, queries_TD: np.ndarray, documents: Embeddings, rows_TM: torch.Tensor) -> torch.Tensor:
        """float64 [T, M] on the CPU: the exact scores of chosen rows."""
        documents_TMD = _tensor(documents.gather(rows_TM.numpy()), self._exact_device).double()
        queries_TD1 = _tensor(queries_TD, self._exact_device).double().unsqueeze(2)
        return torch.bmm(documents_TMD, queries_TD1).squeeze(2).cpu()

    def _search_exactly(
        self, queries_BD: np.ndarray, documents: Embeddings, *, k: int, sizes: Plan
    ) -> torch.Tensor:
        """int64 [B, k]: the keys of the best documents, descending, all scored in float64."""
        keys_Bk = torch.full((len(queries_BD), k), torch.iinfo(torch.int64).min, device=self._exact_device)
        for start, block in documents.blocks(sizes.block):
            documents_CD = _tensor(block, self._exact_device).double()
            rows_C = torch.arange(start, start + len(block), device=self._exact_device)
            for tile in _tiles(len(queries_BD), sizes.tile):
                scores_TC = (_tensor(queries_BD[tile], self._exact_device).double() @ documents_CD.T).float()
                best = _keys(scores_TC, rows_C).topk(min(k, len(block)), dim=1).values
                keys_Bk[tile] = torch.cat((keys_Bk[tile], best), dim=1).topk(k, dim=1).values
        return keys_Bk.cpu()


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


def error_bound(dimension: int, device: str) -> float:
    """How far a float32 dot product of two float16 unit vectors can be from the exact one, with the rounding
    of the latter to float32.

    The products are exact in float32, so only the D - 1 additions round, each by at most 2**-24 of a partial
    sum (at most 1.02 for lengths within 1% of 1). The matrix units of a GPU cut off instead of rounding and
    align to the largest term: eight times as much is allowed there.
    """
    return (1.05 * dimension + 4) * 2.0**-24 * (8 if device.startswith("cuda") else 1)


def _tiles(num_rows: int, size: int) -> Iterator[slice]:
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))


def _tensor(array: np.ndarray, device: str) -> torch.Tensor:
    """A copy of what is mapped for reading, which must not be shared with torch; other arrays are shared on
    the CPU.
    """
    return torch.from_numpy(array if array.flags.writeable else np.array(array)).to(device)


def _keys(scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """int64 keys whose order is (score ascending, row descending): the largest key is the best hit, and no
    two are equal.

    The bits of a float32, read as an integer, order like the number when those of negative numbers are
    flipped; -0.0 is made 0.0 first.
    """
    bits = (scores + 0.0).view(torch.int32)
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return ordered.long() * 2**32 + (_LAST_ROW - rows.long())


def _decode(keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 scores and int32 rows of keys."""
    bits = (keys >> 32).int()
    rows = _LAST_ROW - (keys & _LAST_ROW)
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).contiguous().view(torch.float32), rows.int()
