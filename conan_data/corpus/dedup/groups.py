"""Documents of equal hash, and the one of each group that stays: exact duplicates and pages of one address.

The order of preference: the higher `preference` (see `preferences`), then the smaller id, then the first of
the input. Ids are looked up only where a preference is shared.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa

from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.workspace import PAIR

HASHED = np.dtype([("hash", "u8"), ("check", "u8"), ("number", "i8"), ("preference", "u8")])
"""A document under a hash of 128 bits."""
REFERENCE = np.uint64(2**64 - 1)
"""Preference of the documents of a reference set: they stay before all others."""
Ids = Callable[[np.ndarray], list[str]]


def preferences(batch: pa.RecordBatch, characters: np.ndarray, config: DedupConfig) -> np.ndarray:
    """uint64 [rows]: higher is better, by the rule `config.keep`; all equal for `first`. `characters` int64
    [rows] are the lengths of the texts.
    """
    if config.keep == "first":
        return np.zeros(batch.num_rows, dtype=np.uint64)
    lengths = characters.astype(np.uint64)
    if config.keep == "longest":
        return lengths
    scores = batch.column(config.score).cast(pa.float32()).to_numpy(zero_copy_only=False)
    bits = scores.astype(np.float32).view(np.uint32)
    # The bits of floats in the order of their values: negative ones reversed and below the others.
    ordered = np.where(bits >> np.uint32(31), ~bits, bits | np.uint32(1 << 31))
    ordered = np.where(np.isnan(scores), 0, ordered).astype(np.uint64)
    return (ordered << np.uint64(32)) | np.minimum(lengths, np.uint64(2**32 - 1))


def hash_pairs(column: pa.Array) -> np.ndarray:
    """uint64 [rows, 2] of a column of 16 bytes each; zeros for nulls."""
    return np.frombuffer(column.buffers()[1], dtype=np.uint64).reshape(-1, 2)[
        column.offset : column.offset + len(column)
    ]


def duplicates(chunks: Callable[[], Iterable[np.ndarray]], ids_of: Ids | None) -> np.ndarray:
    """`PAIR` of each document (`HASHED`) that another one stands for, with that one.

    `chunks()` gives the documents, any number of times; `ids_of` is None where ids do not count.
    """
    stay = np.zeros(0, dtype=HASHED)
    for chunk in chunks():
        stay = representatives(np.concatenate([stay, chunk]), ids_of)
    found = [np.zeros(0, dtype=PAIR)]
    for chunk in chunks():
        target = stay["number"][_places(stay, chunk)]
        pairs = np.empty(len(chunk), dtype=PAIR)
        pairs["number"], pairs["target"] = chunk["number"], target
        found.append(pairs[target != chunk["number"]])
    return np.concatenate(found)


def representatives(records: np.ndarray, ids_of: Ids | None) -> np.ndarray:
    """The record of each hash that stays, in the order of the hashes."""
    keys = (records["number"], ~records["preference"], records["check"], records["hash"])
    records = records[np.lexsort(keys)]
    new = np.ones(len(records), dtype=bool)
    new[1:] = (records["hash"][1:] != records["hash"][:-1]) | (records["check"][1:] != records["check"][:-1])
    starts = np.flatnonzero(new)
    best = records[starts]
    if ids_of is None or len(starts) == len(records):
        return best
    group = np.cumsum(new) - 1
    tied = records["preference"] == best["preference"][group]
    several = np.add.reduceat(tied.astype(np.int64), starts) > 1
    chosen = np.flatnonzero(tied & (several & (best["preference"] != REFERENCE))[group])
    smallest: dict[int, tuple[str, int]] = {}
    for place, owner, name in zip(
        chosen.tolist(), group[chosen].tolist(), ids_of(records["number"][chosen]), strict=True
    ):
        # Places grow with numbers within a group, so the first of equal ids wins.
        smallest[owner] = min(smallest.get(owner, (name, place)), (name, place))
    for owner, (_, place) in smallest.items():
        best[owner] = records[place]
    return best


def _places(stay: np.ndarray, chunk: np.ndarray) -> np.ndarray:
    """For each record of `chunk` the place of its hash in `stay`, which holds them all, in order."""
    places = np.searchsorted(stay["hash"], chunk["hash"])
    wrong = np.flatnonzero(stay["check"][places] != chunk["check"])
    while len(wrong):
        places[wrong] += 1
        wrong = wrong[stay["check"][places[wrong]] != chunk["check"][wrong]]
    return places
