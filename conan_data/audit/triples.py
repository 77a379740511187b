"""Queries with their positives and negatives as texts, to be read side by side: no number says as much about a
pool as ten of them read.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from conan_data.audit.pairs import Pairs
from conan_data.mining.arrays import document_texts

_POSITIVES, _NEGATIVES, _CHARACTERS = 2, 5, 600


def choose_queries(pairs: Pairs, *, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Query rows: some at random, and as many whose negatives come nearest to the positive."""
    filled = np.flatnonzero(pairs.sizes)
    highest = np.full(pairs.arrays.num_queries, -np.inf)
    ratios = pairs.ratios
    known = ~np.isnan(ratios)
    np.maximum.at(highest, pairs.queries_M[known], ratios[known])
    drawn = np.sort(np.random.default_rng(seed).permutation(filled)[: -(-size // 2)])
    suspects = filled[np.argsort(-highest[filled], kind="stable")]
    suspects = suspects[np.isfinite(highest[suspects]) & ~np.isin(suspects, drawn)][: size // 2]
    return drawn, suspects


def triples(pairs: Pairs, queries: np.ndarray, labels: dict[int, float]) -> list[dict[str, Any]]:
    """What the page shows of `queries`."""
    corpus, offsets = pairs.data.corpus, pairs.arrays.positive_offsets
    starts = np.searchsorted(pairs.queries_M, queries) if _sorted(pairs.queries_M) else None
    ratios = pairs.ratios
    found = []
    for number, query in enumerate(queries.tolist()):
        if starts is not None:
            start = int(starts[number])
            own = np.arange(start, start + int(pairs.sizes[query]))
        else:
            own = np.flatnonzero(pairs.queries_M == query)
        positives = pairs.arrays.positive_rows[offsets[query] : offsets[query + 1]]
        row = pairs.data.queries.slice(query, 1).to_pylist()[0]
        found.append(
            {
                "id": row["_id"],
                "lang": row["lang"],
                "text": row["text"],
                "positive_score": _number(pairs.positive_scores_Q[query]),
                "more_positives": max(0, len(positives) - _POSITIVES),
                "positives": _documents(corpus, positives[:_POSITIVES]),
                "more_negatives": max(0, len(own) - _NEGATIVES),
                "negatives": [
                    {
                        **document,
                        "score": _number(pairs.scores_M[pair]),
                        "ratio": _number(ratios[pair]),
                        "rank": int(pairs.ranks_M[pair]),
                        "reason": pairs.reasons_M[pair],
                        "label": labels.get(pair),
                    }
                    for pair, document in zip(
                        own[:_NEGATIVES].tolist(), _documents(corpus, pairs.documents_M[own[:_NEGATIVES]])
                    )
                ],
            }
        )
    return found


def _documents(corpus: pa.Table, rows: np.ndarray) -> list[dict[str, Any]]:
    table = corpus.take(pa.array(rows))
    return [
        {"id": row["_id"], "lang": row["lang"], "text": text[:_CHARACTERS], "cut": len(text) > _CHARACTERS}
        for row, text in zip(table.to_pylist(), document_texts(table), strict=True)
    ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _sorted(values: np.ndarray) -> bool:
    return bool((np.diff(values) >= 0).all())
