"""Paired differences of two evaluations of one set, and which of them hold.

The intervals of two means overlap long after the difference is certain, because both systems find the same
queries hard. Here each query is its own control: its metric in one evaluation minus its metric in the other,
and what is resampled are these differences, by source query (a query and its translations are drawn together).
With a hundred language pairs five of a hundred would hold by chance, so the p-values of the pairs are adjusted
together (Benjamini and Hochberg 1995); those of the pools named in advance (same language, across languages,
all languages in one pool) are adjusted together as well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from conan_data.errors import UserError
from conan_train.evaluation.evaluation_set import ANY
from conan_train.evaluation.groups import CROSS, GROUPS, SAME
from conan_train.evaluation.intervals import paired_test
from conan_train.evaluation.metrics import METRICS

# Q queries of a pool, M metrics

MIXED = "all languages in one pool"
_NAMED = (SAME, CROSS)

Pair = tuple[str, str]


@dataclass(frozen=True)
class Pools:
    """The per-query rows of one evaluation by (query language, document language), each in the order of ids."""

    ids: dict[Pair, list[str]]
    sources: dict[Pair, list[str]]
    values: dict[Pair, np.ndarray]

    @classmethod
    def of(cls, table: pa.Table) -> "Pools":
        """Split the table of an evaluation (`queries.parquet`) into its pools; `*` -> `*` is the mixed one."""
        table = table.sort_by("query_id")
        documents = np.array(table.column("document_language").to_pylist())
        queries = np.array(table.column("query_language").to_pylist())
        queries[documents == ANY] = ANY
        ids, sources = (np.array(table.column(name).to_pylist()) for name in ("query_id", "source_id"))
        values_QM = np.stack([table.column(name).to_numpy() for name in METRICS], axis=1)
        pairs = sorted(set(zip(queries.tolist(), documents.tolist(), strict=True)))
        rows = {pair: np.flatnonzero((queries == pair[0]) & (documents == pair[1])) for pair in pairs}
        return cls(
            {pair: ids[own].tolist() for pair, own in rows.items()},
            {pair: sources[own].tolist() for pair, own in rows.items()},
            {pair: values_QM[own] for pair, own in rows.items()},
        )


def differences(
    baseline: Pools, other: Pools, *, num_samples: int, level: float, seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Compare the pools that both evaluations scored: `groups` and `pairs`, one record per pool.

    A record has `name`, `num_queries` and, by metric, the means `baseline` and `other`, `difference` (other minus
    baseline), `low` and `high` (95%), `p` adjusted, and `holds`; scores are shares of 1. The last five are None
    for a pool of a single source query. Raises `UserError` where a pool was scored on different queries.
    """
    shared = [pair for pair in baseline.ids if pair in other.ids]
    for pair in shared:
        if baseline.ids[pair] != other.ids[pair]:
            raise UserError(f"pool {' -> '.join(pair)}: the evaluations scored different queries")
    groups = [
        _record(name, members, baseline, other, num_samples=num_samples, seed=seed)
        for name, members in _groups(shared)
    ]
    pairs = [
        _record(" -> ".join(pair), [pair], baseline, other, num_samples=num_samples, seed=seed)
        for pair in shared
        if pair[1] != ANY
    ]
    named = [record for record in groups if record["name"] in (*_NAMED, MIXED)]
    for family in (named, [record for record in groups if record not in named], pairs):
        _adjust(family, level=level)
    return {"groups": groups, "pairs": pairs}


def _groups(pairs: Sequence[Pair]) -> Iterator[tuple[str, list[Pair]]]:
    for name, belongs in GROUPS.items():
        members = [pair for pair in pairs if pair[1] != ANY and belongs(*pair)]
        if members:
            yield name, members
    if (ANY, ANY) in pairs:
        yield MIXED, [(ANY, ANY)]


def _record(
    name: str, members: Sequence[Pair], baseline: Pools, other: Pools, *, num_samples: int, seed: int
) -> dict[str, Any]:
    base_QM, other_QM = (
        np.concatenate([pools.values[pair] for pair in members]) for pools in (baseline, other)
    )
    sources = [source for pair in members for source in baseline.sources[pair]]
    tested = paired_test(other_QM - base_QM, sources, num_samples=num_samples, seed=seed)
    metrics = {}
    for place, metric in enumerate(METRICS):
        low, high, p = (None, None, None) if tested is None else (float(ends[place]) for ends in tested)
        metrics[metric] = {
            "baseline": float(base_QM[:, place].mean()),
            "other": float(other_QM[:, place].mean()),
            "difference": float((other_QM - base_QM)[:, place].mean()),
            "low": low,
            "high": high,
            "p": p,
            "holds": None,
        }
    return {"name": name, "num_queries": len(base_QM), "num_sources": len(set(sources)), "metrics": metrics}


def _adjust(family: Sequence[dict[str, Any]], *, level: float) -> None:
    """Replace the p-values of records that are read together by adjusted ones, metric by metric."""
    for metric in METRICS:
        tested = [
            record["metrics"][metric] for record in family if record["metrics"][metric]["p"] is not None
        ]
        if not tested:
            continue
        adjusted = stats.false_discovery_control([entry["p"] for entry in tested])
        for entry, p in zip(tested, adjusted.tolist(), strict=True):
            entry.update(p=p, holds=p <= level)
