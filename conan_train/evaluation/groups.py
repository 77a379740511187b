"""Many pairs of languages in a few numbers, each with its name, because there are two honest means and they
differ.

`macro` counts every pair of languages once, `by_query` every query of every pair once. With few queries in a
rare language the first is noisy, with many in one language the second is about that language. Both are given
for groups that answer different questions: the same language, across languages, and whether English is the
one asked, the one searched, or not there at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conan_train.evaluation.evaluation_set import Pool
from conan_train.evaluation.intervals import interval
from conan_train.evaluation.metrics import METRICS

PIVOT = "en"
SAME, CROSS = "same-language", "cross-language"
GROUPS: Mapping[str, Callable[[str, str], bool]] = {
    SAME: lambda query, document: query == document,
    CROSS: lambda query, document: query != document,
    "en->en": lambda query, document: query == document == PIVOT,
    "xx->xx": lambda query, document: query == document != PIVOT,
    "xx->en": lambda query, document: query != PIVOT and document == PIVOT,
    "en->xx": lambda query, document: query == PIVOT and document != PIVOT,
    "xx->yy": lambda query, document: len({query, document, PIVOT}) == 3,
}


@dataclass(frozen=True)
class Scored:
    """A pool with the metrics of its queries, [Q, len(METRICS)], and the source of each query."""

    pool: Pool
    values: np.ndarray
    sources: list[str]


def pool_record(scored: Scored, *, num_samples: int, seed: int) -> dict[str, Any]:
    """A pool as it is reported: its languages, its counts, and its metrics."""
    return {
        "query_language": scored.pool.query_language,
        "document_language": scored.pool.document_language,
        "num_queries": len(scored.pool.queries),
        "num_documents": len(scored.pool.documents),
        "num_without_positive": scored.pool.num_without_positive,
        "scores": mean_record(scored.values, scored.sources, num_samples=num_samples, seed=seed),
    }


def summarise_pools(scored: Sequence[Scored], *, num_samples: int, seed: int) -> dict[str, Any]:
    """The groups that have a pool: `num_pairs`, `num_queries` (a query counts once a pair), `macro`,
    `by_query` (with intervals).
    """
    found = {}
    for name, belongs in GROUPS.items():
        members = [item for item in scored if belongs(item.pool.query_language, item.pool.document_language)]
        if not members:
            continue
        values_QM = np.concatenate([item.values for item in members])
        macro_M = np.mean([item.values.mean(axis=0) for item in members], axis=0)
        sources = [source for item in members for source in item.sources]
        found[name] = {
            "num_pairs": len(members),
            "num_queries": len(values_QM),
            "macro": dict(zip(METRICS, macro_M.tolist(), strict=True)),
            "by_query": mean_record(values_QM, sources, num_samples=num_samples, seed=seed),
        }
    return found


def mean_record(
    values_QM: np.ndarray, sources: Sequence[str], *, num_samples: int, seed: int
) -> dict[str, dict[str, float | None]]:
    """Metric to `value`, `low` and `high`; the ends are None where no interval could be drawn."""
    ends = interval(values_QM, sources, num_samples=num_samples, seed=seed)
    low, high = (
        ([None] * len(METRICS), [None] * len(METRICS))
        if ends is None
        else (ends[0].tolist(), ends[1].tolist())
    )
    means = values_QM.mean(axis=0).tolist()
    return {name: {"value": means[i], "low": low[i], "high": high[i]} for i, name in enumerate(METRICS)}
