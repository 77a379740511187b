"""Decide which admitted pairs stay, from their keys alone.

In this order: of equal pairs the first stays; a side in too many pairs is boilerplate, and all of them go; of pairs that
share a side the first few stay; of a host, and of a source, at most so many stay, those with the smallest hashes,
so that they come from everywhere. About 90 bytes a pair are held at the peak.

N pairs in the order in which they were found.
"""

from collections.abc import Mapping

import numpy as np

from conan_data.build_pairs.config import BuildPairsConfig

REASONS = (
    "",
    "duplicate-pair",
    "boilerplate-query",
    "boilerplate-document",
    "repeated-query",
    "repeated-document",
    "over-host-limit",
    "over-source-limit",
)
"""By code; the first is for pairs that stay."""
_DUPLICATE, _BOILERPLATE, _REPEATED, _HOST, _SOURCE = 1, 2, 4, 6, 7


def settle(
    keys: Mapping[str, np.ndarray], sources_N: np.ndarray, names: list[str], config: BuildPairsConfig
) -> np.ndarray:
    """Return uint8 [N]: places in `REASONS`. `keys` are those of `admit`; `sources_N` are places in `names`."""
    reason_N = np.zeros(len(sources_N), np.uint8)
    _, rank, _ = _runs(keys["pair"])
    reason_N[rank > 0] = _DUPLICATE
    del rank
    sides = ("query_key", "document_key")
    for number, side in enumerate(sides):
        rows = np.flatnonzero(reason_N == 0)
        _, _, size = _runs(keys[side][rows])
        reason_N[rows[size > config.boilerplate]] = _BOILERPLATE + number
        del size
    for number, side in enumerate(sides):
        rows = np.flatnonzero(reason_N == 0)
        _, rank, _ = _runs(keys[side][rows])
        reason_N[rows[rank >= config.max_repeats]] = _REPEATED + number
        del rank
    if config.max_per_host:
        rows = np.flatnonzero((reason_N == 0) & (keys["host_key"] != 0))
        reason_N[_beyond(rows, keys["host_key"][rows], keys["pair"][rows], config.max_per_host)] = _HOST
    for place, name in enumerate(names):
        if (limit := config.rules_of(name).max_pairs) is not None:
            rows = np.flatnonzero((reason_N == 0) & (sources_N == place))
            reason_N[_beyond(rows, sources_N[rows], keys["pair"][rows], limit)] = _SOURCE
    return reason_N


def _runs(keys_N: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """int32 [N] each: an order that sorts the keys and is stable; the rank of each row among those of equal key, from 0; and
    how many these are.
    """
    order = np.argsort(keys_N, kind="stable").astype(np.int32)
    rank_sorted, size_sorted = _ranks(keys_N[order])
    rank, size = np.empty_like(rank_sorted), np.empty_like(size_sorted)
    rank[order], size[order] = rank_sorted, size_sorted
    return order, rank, size


def _ranks(sorted_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    starts = (
        np.flatnonzero(np.append(True, sorted_N[1:] != sorted_N[:-1])) if len(sorted_N) else np.zeros(0, int)
    )
    sizes = np.diff(np.append(starts, len(sorted_N))).astype(np.int32)
    rank = np.arange(len(sorted_N), dtype=np.int32) - np.repeat(starts.astype(np.int32), sizes)
    return rank, np.repeat(sizes, sizes)


def _beyond(rows: np.ndarray, groups: np.ndarray, hashes: np.ndarray, limit: int) -> np.ndarray:
    """The rows of each group beyond the `limit` with the smallest hashes."""
    order = np.lexsort((hashes, groups))
    rank, _ = _ranks(groups[order])
    return rows[order[rank >= limit]]
