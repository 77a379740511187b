"""The candidates of a window's queries: found once in the carried index, scored again whenever a vector is renewed.

A search costs a product with all documents, a second score of what it found does not. So a refresh searches once,
deeper than it selects, and what is encoded afterwards changes scores, order and thresholds among the candidates.
What is chosen in the end comes from the same `select` as in a full refresh.

Legend: W queries of the window, K candidates of a query, N documents, D dimensions.
"""

from dataclasses import dataclass, replace

import numpy as np

from conan_data.mining.arrays import RetrievalArrays
from conan_data.mining.config import SelectionConfig
from conan_data.mining.selection import REASONS, Pools, reduce_positive_scores, select, thresholds

_QUERIES_A_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """With the set of the window's queries alone, and their vectors."""

    arrays: RetrievalArrays
    selection: SelectionConfig
    query_WD: np.ndarray
    """float16."""
    row_WK: np.ndarray
    """int32, the best first; -1 for none."""
    score_WK: np.ndarray
    """float32."""

    def rescored(self, vector_ND: np.ndarray) -> "Candidates":
        """By these float16 vectors of all documents; order by (score, row)."""
        score_WK = np.full(self.row_WK.shape, -np.inf, np.float32)
        for start in range(0, len(self.row_WK), _QUERIES_A_BLOCK):
            part = slice(start, start + _QUERIES_A_BLOCK)
            document_WKD = np.asarray(vector_ND[np.maximum(self.row_WK[part], 0)], np.float32)
            query_WD = self.query_WD[part].astype(np.float32)
            score_WK[part] = np.matmul(document_WKD, query_WD[:, :, None])[:, :, 0]
        score_WK[self.row_WK < 0] = -np.inf
        order_WK = np.lexsort((self.row_WK, -score_WK), axis=1)
        return replace(
            self,
            row_WK=np.take_along_axis(self.row_WK, order_WK, axis=1),
            score_WK=np.take_along_axis(score_WK, order_WK, axis=1),
        )

    def positive_scores(self, vector_ND: np.ndarray) -> np.ndarray:
        """float32 [W]; NaN for a query without a positive."""
        owners, rows = self.arrays.positive_owners(), self.arrays.positive_rows
        scores = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), 4096):
            part = slice(start, start + 4096)
            query_ED = self.query_WD[owners[part]].astype(np.float32)
            scores[part] = (query_ED * np.asarray(vector_ND[rows[part]], np.float32)).sum(1)
        return reduce_positive_scores(
            scores, self.arrays.positive_offsets, reference=self.selection.reference
        )

    def thresholds(self, positive_score_W: np.ndarray) -> np.ndarray:
        """float32 [W]: scores over which a candidate is taken for an answer."""
        margin = self.selection
        by_language = np.array(
            [margin.margin_by_language.get(name, margin.margin) for name in self.arrays.languages]
        )
        return thresholds(positive_score_W, by_language[self.arrays.query_languages])

    def pools(
        self,
        positive_score_W: np.ndarray,
        threshold_W: np.ndarray | None = None,
        *,
        pool_size: int | None = None,
    ) -> Pools:
        """What is chosen, by other thresholds and in pools of another size if they are given."""
        size = self.selection.pool_size if pool_size is None else pool_size
        if threshold_W is None:
            threshold_W = self.thresholds(positive_score_W)
        parts = []
        for start in range(0, len(self.row_WK), _QUERIES_A_BLOCK):
            rows = np.arange(start, min(start + _QUERIES_A_BLOCK, len(self.row_WK)))
            own = self.arrays.take_queries(rows)
            parts.append(
                select(
                    self.row_WK[rows],
                    self.score_WK[rows],
                    positive_offsets=own.positive_offsets,
                    positive_rows=own.positive_rows,
                    positive_scores_Q=positive_score_W[rows],
                    groups_N=own.groups,
                    texts_N=own.texts,
                    thresholds_Q=threshold_W[rows],
                    pool_size=size,
                    depth=max(size, self.selection.depth),
                    skip=self.selection.skip,
                )
            )
        return _joined(parts, size)


def _joined(parts: list[Pools], pool_size: int) -> Pools:
    def stack(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    if not parts:
        none = np.zeros((0, pool_size), np.int32)
        return Pools(none, none.astype(np.float32), none, np.zeros(0, np.float32), dict.fromkeys(REASONS, 0))
    counts = {reason: sum(part.counts[reason] for part in parts) for reason in REASONS}
    return Pools(stack("rows"), stack("scores"), stack("ranks"), stack("positive_scores"), counts)
