"""The candidates of a window's queries, found in the carried index, deeper than a selection looks.

What is chosen comes from the same `select` as in a full refresh.

Legend: W queries of the window, K candidates of a query, N documents, D dimensions.
"""

from dataclasses import dataclass, replace

import numpy as np

from conan_data.mining.arrays import RetrievalArrays
from conan_data.mining.config import SelectionConfig
from conan_data.mining.selection import REASONS, Pools, reduce_positive_scores, select
from conan_data.mining.selection.thresholds import absolute_thresholds, relative_thresholds

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
        """float32 [W]: scores over which a candidate is taken for an answer; NaN for a query without a positive."""
        return np.minimum(
            relative_thresholds(positive_score_W, self.arrays, self.selection),
            absolute_thresholds(positive_score_W, self.selection),
        )

    def pools(self, positive_score_W: np.ndarray, *, vector_ND: np.ndarray) -> Pools:
        """What is chosen, by vectors of all documents."""
        return self._select(positive_score_W, self.selection, vector_ND)

    def eligible(self, positive_score_W: np.ndarray, *, number: int) -> Pools:
        """The first `number` that only a score can keep out: as `pools`, without a limit to scores."""
        open_selection = replace(
            self.selection,
            margin=None,
            margin_by_language={},
            absolute_margin=None,
            ceiling=None,
            floor=None,
            near_positive=None,
            near_duplicate=None,
            choose="top",
            pool_size=number,
            depth=max(number, self.selection.depth),
        )
        return self._select(positive_score_W, open_selection, None)

    def _select(
        self, positive_score_W: np.ndarray, selection: SelectionConfig, vector_ND: np.ndarray | None
    ) -> Pools:
        def vectors(rows: np.ndarray) -> np.ndarray:
            assert vector_ND is not None
            return np.asarray(vector_ND[rows])

        parts = []
        for start in range(0, len(self.row_WK), _QUERIES_A_BLOCK):
            rows = np.arange(start, min(start + _QUERIES_A_BLOCK, len(self.row_WK)))
            parts.append(
                select(
                    self.row_WK[rows],
                    self.score_WK[rows],
                    arrays=self.arrays.take_queries(rows),
                    selection=selection,
                    positive_scores_Q=positive_score_W[rows],
                    vectors=vectors,
                )
            )
        return _joined(parts, selection.pool_size)


def _joined(parts: list[Pools], pool_size: int) -> Pools:
    def stack(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    if not parts:
        return Pools.empty(np.zeros(0, np.float32), pool_size=pool_size, counts=dict.fromkeys(REASONS, 0))
    counts = {reason: sum(part.counts[reason] for part in parts) for reason in REASONS}
    return Pools(
        stack("rows"),
        stack("scores"),
        stack("ranks"),
        stack("positive_scores"),
        counts,
        reasons=stack("reasons"),
    )
