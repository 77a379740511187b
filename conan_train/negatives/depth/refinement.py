"""Spends a budget of documents on the choices of a window: positives first, then the boundary.

What is worth encoding is found by a search with carried vectors, and what is chosen by a second one, with all that is
known then: a document that was encoded for one query may be among the best of another, which had not seen it. More
rounds of both were tried, and chose no better.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from conan_data.mining.arrays import RetrievalArrays, document_texts
from conan_data.mining.config import SelectionConfig
from conan_data.mining.encoder import Encoder, encode_shown
from conan_data.mining.search.hits import Searcher
from conan_train.negatives.depth.boundary import (
    chance_of_error,
    document_values,
    last_taken,
    most_shared,
    most_valuable,
)
from conan_train.negatives.depth.candidates import Candidates
from conan_train.negatives.depth.index import CarriedIndex

# W queries of the window, R documents, N all of them, D dimensions

_WIDER = 4
"""Candidates beyond those that selection looks at: by carried scores the best may stand far down."""


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """Of the queries of `arrays`, whose vectors of today are `query_WD` (float16)."""

    encoder: Encoder
    corpus: pa.Table
    arrays: RetrievalArrays
    selection: SelectionConfig
    num_negatives: int
    index: CarriedIndex
    query_WD: np.ndarray
    error: float
    """Standard deviation of a score with a carried vector."""

    def run(self, searcher: Searcher, *, budget: int) -> Candidates:
        """Encodes at most `budget` documents; the candidates have the scores of what is known in the end."""
        budget -= self._encode(most_shared(self.arrays.positive_rows, self.index.fresh_N, number=budget // 2))
        candidates = self._search(searcher)
        num_encoded = self._encode(most_valuable(self._values(candidates), number=budget))
        return self._search(searcher) if num_encoded else candidates

    def _search(self, searcher: Searcher) -> Candidates:
        width = _WIDER * self.selection.depth + int(self.arrays.num_answers().max(initial=0))
        hits = searcher.search(self.query_WD, self.index.embeddings, k=width)
        return Candidates(
            arrays=self.arrays,
            selection=self.selection,
            query_WD=self.query_WD,
            row_WK=hits.rows,
            score_WK=hits.scores,
        )

    def expected_wrong(self, candidates: Candidates) -> float:
        """Share of the negatives that are trained on which a full refresh would choose otherwise; rather too high,
        for errors of many candidates are taken to be independent.
        """
        return min(1.0, float(self._values(candidates).sum()) / (2 * len(self.query_WD) * self.num_negatives))

    def _values(self, candidates: Candidates) -> np.ndarray:
        positive_W = candidates.positive_scores(self.index.vector_ND)
        threshold_W = candidates.thresholds(positive_W)
        eligible = candidates.eligible(positive_W, number=_WIDER * self.selection.depth)
        last_W = last_taken(eligible.scores, threshold_W, number=self.num_negatives)
        chance = chance_of_error(eligible.scores, last_W, threshold_W, error=self.error)
        chance[(eligible.rows < 0) | self.index.fresh_N[eligible.rows] | np.isnan(threshold_W)[:, None]] = 0
        return document_values(chance, eligible.rows, num_documents=len(self.index.fresh_N))

    def _encode(self, row_R: np.ndarray) -> int:
        if len(row_R):
            self.index.renew(row_R, encode_documents(self.encoder, self.corpus, row_R))
        return len(row_R)


def encode_documents(encoder: Encoder, corpus: pa.Table, row_R: np.ndarray) -> np.ndarray:
    """float16 [R, D]."""
    texts = list(document_texts(corpus.take(row_R)))
    return encode_shown(encoder, texts, kind="document").astype(np.float16)
