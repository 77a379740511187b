"""A refresh whose cost grows with the steps to come and not with the corpus.

All documents are encoded at the start. Later only the queries that the next steps train on are looked at, and the
documents are carried into today's space by a map (`carry`). Then the budget is spent where a vector of its own can
change a choice (`boundary`): on the queries' positives, whose scores set the threshold for false negatives, and on
the candidates near the two borders. A few documents are encoded at every refresh, which fit the map and measure
what it is worth; where that is too little, everything is encoded again. The other queries keep their pools.

The budget is counted in documents and not in seconds, so a refresh is a function of the weights and of what the
refreshes before it left (`state`): a run that was killed mines the same again.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from conan_data.mining.arrays import document_texts
from conan_data.mining.config import SelectionConfig
from conan_data.mining.embeddings import Embeddings, encode_to_shards
from conan_data.mining.encoder import Encoder, encode_shown
from conan_data.mining.pools import pools_of_vectors
from conan_data.mining.search.hits import Searcher
from conan_data.mining.selection import Pools
from conan_data.pairs.pair_set import PairSet
from conan_train.negatives.depth.carry import fit_and_check, fit_map
from conan_train.negatives.depth.index import CarriedIndex
from conan_train.negatives.depth.refinement import Refinement, encode_documents
from conan_train.negatives.depth.state import Refreshed, RefreshStore
from conan_train.negatives.generation import Generation
from conan_train.negatives.miner import Mining, check_fresh

log = logging.getLogger(__name__)

# W queries of the window, S documents of the sample, R documents, D dimensions

_RIDGE = 1e-3


@dataclass(frozen=True, kw_only=True)
class WindowMiner:
    """Mines a window by `Miner`'s contract; everything at the start, and where the map fails."""

    pairs: PairSet
    selection: SelectionConfig
    num_negatives: int
    """Negatives a query trains on at a time: whose choice the budget is spent on."""
    searcher: Searcher
    folder: Path
    budget: int
    """Documents that a refresh may encode, a query counting `query_cost` of one."""
    query_cost: float
    full_up_to: int
    """Documents of a set that is always encoded as a whole."""
    sample: int
    max_error: float

    def mine(self, encoder: Encoder, *, step: int, window: np.ndarray | None, previous: Generation) -> Mining:
        store = RefreshStore(self.folder)
        past = store.before(step)
        is_small = self.pairs.arrays.num_documents <= self.full_up_to or self._cost_of_all <= self.budget
        if not past or window is None or is_small:
            return self._full(encoder, store, step, figures={})
        base = Embeddings.open(store.base(past[0].step) / "corpus")
        row_S = self._sample_rows()
        now_SD = encode_documents(encoder, self.pairs.data.corpus, row_S)
        fit = fit_and_check(base.gather(row_S), now_SD, ridge=_RIDGE)
        figures = {"drift": fit.drift, "map_error": fit.error}
        if not fit.error <= self.max_error:
            log.info("carried vectors are %.2f away from today's: all are encoded again", fit.error)
            return self._full(encoder, store, step, figures=figures)
        window = np.sort(window)
        texts = self.pairs.data.queries.column("text").take(pa.array(window)).to_pylist()
        query_WD = encode_shown(encoder, texts, kind="query").astype(np.float16)
        index = CarriedIndex(store.folder / "carried.raw", base, fit.map)
        for earlier in past[1:]:
            # Every refresh encodes the sample, and stores it first: the map from its own time is known too.
            own_map = fit_map(earlier.vector_RD[: len(row_S)], now_SD, ridge=_RIDGE)
            index.carry(earlier.row_R, earlier.vector_RD, own_map)
        index.renew(row_S, now_SD)
        budget = self.budget - len(row_S) - round(len(window) * self.query_cost)
        refinement = Refinement(
            encoder=encoder,
            corpus=self.pairs.data.corpus,
            arrays=self.pairs.arrays.take_queries(window),
            selection=self.selection,
            num_negatives=self.num_negatives,
            index=index,
            query_WD=query_WD,
            error=fit.score_error(query_WD),
        )
        found = refinement.run(self.searcher, budget=max(0, budget))
        figures["expected_wrong"] = refinement.expected_wrong(found)
        positive_W = found.positive_scores(index.vector_ND)
        chosen = found.pools(positive_W, vector_ND=index.vector_ND)
        pools = merged(past[-1].pools, chosen, window)
        row_R = index.renewed_rows
        vector_RD = index.vector_ND[row_R]
        index.close()
        store.add(Refreshed(step=step, base=past[0].step, row_R=row_R, vector_RD=vector_RD, pools=pools))
        return Mining(
            pools=pools,
            num_documents=len(row_R),
            num_queries=len(window),
            depth="window",
            figures=figures,
        )

    @property
    def _cost_of_all(self) -> float:
        return self.pairs.arrays.num_documents + self.pairs.num_queries * self.query_cost

    def _sample_rows(self) -> np.ndarray:
        """int64 [S]: the same at every refresh, in no order of the corpus, so that its end is a fair sample too. At
        most half the budget: a map is worth little without documents whose own vectors are known.
        """
        num_documents = self.pairs.arrays.num_documents
        size = min(self.sample, num_documents, max(2, self.budget // 2))
        return np.random.default_rng([num_documents, 5]).choice(num_documents, size, replace=False)

    def _full(self, encoder: Encoder, store: RefreshStore, step: int, *, figures: dict[str, float]) -> Mining:
        data, directory = self.pairs.data, store.base(step)
        queries = encode_to_shards(
            encoder,
            data.queries.column("text"),
            data.queries.column("_id"),
            directory / "queries",
            kind="query",
        )
        texts, ids = document_texts(data.corpus), data.corpus.column("_id")
        documents = encode_to_shards(encoder, texts, ids, directory / "corpus", kind="document")
        check_fresh(encoder, data.corpus, documents, step=step)
        pools = pools_of_vectors(
            queries, documents, self.pairs.arrays, self.selection, searcher=self.searcher
        )
        none_RD = np.zeros((0, encoder.dimension), np.float16)
        store.add(
            Refreshed(step=step, base=step, row_R=np.zeros(0, np.int64), vector_RD=none_RD, pools=pools)
        )
        return Mining(
            pools=pools,
            num_documents=len(documents),
            num_queries=len(queries),
            depth="full",
            figures=figures,
        )


def merged(old: Pools, new: Pools, window: np.ndarray) -> Pools:
    """The pools of all queries: `new` for those in `window`, `old` for the others; counts of the window alone."""

    def put(name: str) -> np.ndarray:
        whole = getattr(old, name).copy()
        whole[window] = getattr(new, name)
        return whole

    return Pools(
        put("rows"), put("scores"), put("ranks"), put("positive_scores"), new.counts, reasons=put("reasons")
    )
