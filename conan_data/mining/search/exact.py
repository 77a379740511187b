"""Exact nearest documents by cosine, whose result does not depend on how it was computed.

A matrix product in float32 rounds differently with the shape of its blocks, the number of threads and the
device. With near duplicates in a corpus that decides who is in the top k, so "the same command" gives other
negatives on another machine. What is guaranteed here: for given float16 vectors, ids, order and scores are
always the same, to the bit, for every block size, memory bound, thread count and device. A score is the dot
product of the float16 vectors without any rounding error, rounded once to float32; the order is (score
descending, row ascending).

How: a float16 number is a multiple of 2**-24, so a product of two is a multiple of 2**-48, and for vectors of
length about 1 no partial sum exceeds 2: float64 holds all of them exactly, in any order. A whole search in
float64 is slow, so the documents are screened first, and the best k + `SPARE` of each query are scored again
in float64. Screening is a float32 product, or one of 8-bit integers where the CPU has fast ones (see `int8`), after
which the few in doubt are scored in float64 at once.
Every document that was left out has a float32 score of at most the cutoff; if the k-th exact score is over
cutoff + the error bound of the float32 product, nothing is missing. Queries for which that does not hold
(many equal or almost equal scores around rank k) are searched again in float64 as a whole.

Memory: working arrays stay under the bound that is given; not counted are the result, the mapped files (the
system may drop their pages at any time) and what torch allocates when it is first used.

Legend: Q queries, B queries of one pass, T queries of a tile, N documents, C documents of a block, M
candidates, D dimensions.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch

from conan_data.mining.embeddings import Embeddings
from conan_data.mining.encoder import resolve_device
from conan_data.mining.search import int8
from conan_data.mining.search.candidates import Candidates
from conan_data.mining.search.hits import Hits, decode_keys, encode_keys, hits_of_keys
from conan_data.mining.search.plan import SPARE, Plan, Screening, plan
from conan_data.mining.search.rescore import score_rows
from conan_data.mining.search.rescore import to_tensor as _tensor
from conan_data.mining.search.screening import Block, guess_cutoffs, make_block, sample_rows, screen_block
from conan_data.mining.search.threads import Inline, one_core_threads
from conan_data.progress import progress

log = logging.getLogger(__name__)

_WORTH_A_KERNEL = 5e10
"""Products of two numbers in a search from which on loading the compiled kernel, about a second, pays."""


class ExactSearcher:
    """Searches all documents with torch, in `memory` bytes; see the module for what is guaranteed.

    `screening` decides the speed only; None takes the faster one that is there.
    """

    backend = "exact"

    def __init__(self, *, memory: int, device: str = "cpu", screening: Screening | None = None) -> None:
        self.memory = memory
        self.device = resolve_device(device)
        self.screening = screening
        self.report: dict[str, Any] = {"backend": self.backend}
        self._exact_device = "cpu" if self.device.startswith("mps") else self.device
        self._streams = self.device == "cpu"
        """Whether cutoffs rise from block to block, and threads of one core share the work."""

    def batch_size(self, *, dimension: int, k: int) -> int:
        """See `Searcher`."""
        return self._plan(dimension, k + SPARE).batch

    def prepare(self, queries: Embeddings, documents: Embeddings, *, k: int) -> None:
        """Nothing: documents are read as they are stored."""

    def search(self, queries_QD: np.ndarray, documents: Embeddings, *, k: int) -> Hits:
        assert queries_QD.dtype == np.float16 and queries_QD.shape[1] == documents.dimension, (
            "queries and documents are of different encoders"
        )
        assert len(documents) <= np.iinfo(np.int32).max
        k = min(k, len(documents))
        hits = Hits(np.empty((len(queries_QD), k), np.float32), np.empty((len(queries_QD), k), np.int32))
        if hits.rows.size == 0:
            return hits
        sizes = self._plan(documents.dimension, min(k + SPARE, len(documents)))
        # Passes of equal size: one that serves a few queries reads all documents too.
        num_passes = -(-len(queries_QD) // sizes.batch)
        for part in _tiles(len(queries_QD), -(-len(queries_QD) // max(1, num_passes))):
            hits.scores[part], hits.rows[part] = self._search_batch(
                queries_QD[part], documents, k=k, sizes=sizes
            )
        return hits

    def _screens_in_int8(self, *, num_products: int) -> bool:
        if self.screening is not None:
            return self.screening == "int8"
        return self.device == "cpu" and num_products >= _WORTH_A_KERNEL and int8.available()

    def _plan(self, dimension: int, num_candidates: int) -> Plan:
        return plan(
            self.memory,
            dimension=dimension,
            num_candidates=num_candidates,
            device=self.device,
            threads=torch.get_num_threads() if self._streams else 1,
        )

    def _search_batch(self, queries_BD: np.ndarray, documents: Embeddings, *, k: int, sizes: Plan) -> Hits:
        num_candidates = min(k + SPARE, len(documents))
        with one_core_threads() if self._streams else nullcontext(Inline()) as pool:
            search = partial(
                self._screen_and_score,
                documents=documents,
                num_candidates=num_candidates,
                k=k,
                sizes=sizes,
                pool=pool,
            )
            guesses_B = (
                self._guess(queries_BD, documents, k=num_candidates, sizes=sizes, pool=pool)
                if self._streams
                else None
            )
            keys_Bk, complete_B = search(queries_BD, guesses_B=guesses_B)
            doubtful = torch.nonzero(~complete_B).flatten()
            if guesses_B is not None and len(doubtful):
                keys_Bk[doubtful], complete_B[doubtful] = search(queries_BD[doubtful.numpy()], guesses_B=None)
                doubtful = torch.nonzero(~complete_B).flatten()
        if num_candidates < len(documents) and len(doubtful):
            log.debug(
                "%d of %d queries have too many close scores at rank %d: searched in float64",
                len(doubtful),
                len(complete_B),
                k,
            )
            keys_Bk[doubtful] = self._search_exactly(
                queries_BD[doubtful.numpy()], documents, k=k, sizes=sizes
            )
        return hits_of_keys(keys_Bk)

    def _screen_and_score(
        self,
        queries_BD: np.ndarray,
        *,
        documents: Embeddings,
        guesses_B: torch.Tensor | None,
        num_candidates: int,
        k: int,
        sizes: Plan,
        pool: Executor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """int64 [B, k] keys, and bool [B]: whether no document can be missing among them."""
        if self._streams:
            scores_BM, rows_BM, cutoffs_B, exact_B = self._stream(
                queries_BD, documents, guesses_B, num_candidates=num_candidates, sizes=sizes, pool=pool
            )
        else:
            scores_BM, rows_BM = self._screen(
                queries_BD, documents, num_candidates=num_candidates, sizes=sizes
            )
            cutoffs_B, exact_B = scores_BM.amin(dim=1), torch.zeros(len(queries_BD), dtype=torch.bool)
        bound = error_bound(documents.dimension, self.device)
        keys_Bk = torch.empty((len(queries_BD), k), dtype=torch.int64)
        complete_B = torch.empty(len(queries_BD), dtype=torch.bool)

        def rescore(tile: slice) -> None:
            screened_TM, rows_TM = scores_BM[tile].cpu(), rows_BM[tile].cpu()
            exact_TM = screened_TM.double()
            if not bool(exact_B[tile].all()):
                screened_TM, rows_TM = _not_out(screened_TM, rows_TM, k=k, bound=bound)
                exact_TM = score_rows(queries_BD[tile], documents, rows_TM, device=self._exact_device)
            missing_TM = screened_TM == -torch.inf
            exact_TM = exact_TM.masked_fill(missing_TM, -torch.inf)
            rows_TM = rows_TM.masked_fill(missing_TM, -1)
            keys_Bk[tile] = encode_keys(exact_TM.float(), rows_TM).sort(dim=1, descending=True).values[:, :k]
            kth_T = decode_keys(keys_Bk[tile, -1])[0].double()
            as_promised_TM = missing_TM | ((screened_TM.double() - exact_TM).abs() <= bound)
            complete_B[tile] = as_promised_TM.all(dim=1) & (kth_T > cutoffs_B[tile].cpu().double() + bound)

        for _ in pool.map(rescore, _tiles(len(queries_BD), sizes.rescored)):
            pass
        return keys_Bk, complete_B

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

    def _guess(
        self, queries_BD: np.ndarray, documents: Embeddings, *, k: int, sizes: Plan, pool: Executor
    ) -> torch.Tensor | None:
        """float32 [B]: a score that most likely `k` documents reach, from a sample; None for few documents."""
        sample = sample_rows(len(documents), k)
        if sample is None:
            return None
        rows, rank = sample
        sample_SD = _tensor(documents.gather(rows), "cpu").float()
        guesses_B = torch.empty(len(queries_BD))

        def guess(tile: slice) -> None:
            guesses_B[tile] = guess_cutoffs(_tensor(queries_BD[tile], "cpu").float(), sample_SD, rank)

        for _ in pool.map(guess, _shared_tiles(len(queries_BD), sizes)):
            pass
        return guesses_B

    def _stream(
        self,
        queries_BD: np.ndarray,
        documents: Embeddings,
        guesses_B: torch.Tensor | None,
        *,
        num_candidates: int,
        sizes: Plan,
        pool: Executor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `_screen`, and of each query [B] the cutoff, and whether its scores are exact. Where fewer are over a
        guess, the scores end in -inf.
        """
        found = Candidates(len(queries_BD), keep=num_candidates, cutoff_B=guesses_B)
        tiles = _shared_tiles(len(queries_BD), sizes)
        in_int8 = self._screens_in_int8(num_products=queries_BD.size * len(documents))
        make = partial(make_block, rounded=in_int8)

        def prepare(tile: slice) -> tuple[torch.Tensor, int8.Rounded | None]:
            queries_TD = _tensor(queries_BD[tile], "cpu").float()
            return queries_TD, int8.round_rows(queries_TD) if in_int8 else None

        queries = list(pool.map(prepare, tiles))
        num_blocks = -(-len(documents) // sizes.block)
        blocks = progress(documents.blocks(sizes.block), "searching", total=num_blocks, unit="block")
        coming: Future[Block] | None = pool.submit(make, *next(blocks))
        while coming is not None:
            block = coming.result()

            def screen(number: int, block: Block = block) -> None:
                screen_block(found, tiles[number], *queries[number], block)

            # The next block is made meanwhile, so that no thread waits for it.
            following = next(blocks, None)
            coming = pool.submit(make, *following) if following is not None else None
            for _ in pool.map(screen, range(len(tiles))):
                pass
        for _ in pool.map(found.compact, tiles):
            pass
        scores_BM, rows_BM = found.scores_BW[:, :num_candidates], found.rows_BW[:, :num_candidates]
        return scores_BM, rows_BM, found.cutoff_B, found.exact_B

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
                best = encode_keys(scores_TC, rows_C).topk(min(k, len(block)), dim=1).values
                keys_Bk[tile] = torch.cat((keys_Bk[tile], best), dim=1).topk(k, dim=1).values
        return keys_Bk.cpu()


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


def _shared_tiles(num_rows: int, sizes: Plan) -> list[slice]:
    """Tiles of the planned size or less, and one for each thread."""
    return list(_tiles(num_rows, min(sizes.tile, -(-num_rows // sizes.threads))))


def _not_out(
    scores_TM: torch.Tensor, rows_TM: torch.Tensor, *, k: int, bound: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The candidates [T, m] without those that `k` others are better than, for certain."""
    kth_T = scores_TM.topk(k, dim=1, sorted=False).values.amin(dim=1)
    width = int((scores_TM.double() >= kth_T.double()[:, None] - 2 * bound).sum(dim=1).amax())
    best_Tm, places_Tm = scores_TM.topk(width, dim=1, sorted=False)
    return best_Tm, rows_TM.gather(1, places_Tm)
