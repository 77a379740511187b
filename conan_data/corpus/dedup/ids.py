"""Unique ids, out of core: the first row of an id keeps it, each further one gets `<id>~2`, `<id>~3`, ...

An id that is given already is passed over: of the rows a, a, a~2 the second gets a~3. Whoever could be in the
way of `a~2` is found because an id that ends in `~<number>` is also filed under what stands before.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conan_data.corpus.dedup.shingles import hasher
from conan_data.corpus.workspace import PAIR

ID = np.dtype([("hash", "u8"), ("check", "u8"), ("number", "i8"), ("suffix", "i8")])
"""A holder of the hashed id (suffix 0), or of that id with `~<suffix>` behind it."""
_DIGITS = 18


def id_records(ids: pa.StringArray, numbers: np.ndarray) -> np.ndarray:
    """`ID` of the ids and of what they could be in the way of, in the order of `numbers`."""
    pairs, holders, suffixes = [_hashes(ids)], list(range(len(ids))), [0] * len(ids)
    bases = []
    for place in np.flatnonzero(pc.match_substring(ids, "~").to_numpy(zero_copy_only=False)).tolist():
        if cut := _cut(ids[place].as_py()):
            bases.append(cut[0])
            holders.append(place)
            suffixes.append(cut[1])
    if bases:
        pairs.append(_hashes(pa.array(bases, pa.string())))
    hashes = np.concatenate(pairs)
    records = np.empty(len(hashes), dtype=ID)
    records["hash"], records["check"] = hashes[:, 0], hashes[:, 1]
    records["number"], records["suffix"] = numbers[holders], suffixes
    return records[np.argsort(records["number"], kind="stable")] if bases else records


def _hashes(ids: pa.StringArray) -> np.ndarray:
    """uint64 [N, 2] of N ids."""
    if not len(ids):
        return np.zeros((0, 2), dtype=np.uint64)
    _, offsets, data = ids.buffers()
    places = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    return hasher().byte_hashes(np.frombuffer(data or b"", np.uint8), places)


def renamed(chunks: Callable[[], Iterable[np.ndarray]]) -> np.ndarray:
    """`PAIR` of each row that gets another id, with its suffix.

    `chunks()` gives the records of some ids, any number of times, in growing order of their numbers.
    """
    several = _shared(chunks())
    taken: defaultdict[int, list[int]] = defaultdict(list)
    for chunk in chunks():
        named = chunk[chunk["suffix"] > 0]
        places, known = _find(several, named)
        for owner, suffix in zip(places[known].tolist(), named["suffix"][known].tolist(), strict=True):
            taken[owner].append(suffix)
    seen = np.zeros(len(several), dtype=np.int64)
    found = [np.zeros(0, dtype=PAIR)]
    for chunk in chunks():
        holders = chunk[chunk["suffix"] == 0]
        places, known = _find(several, holders)
        found.append(_suffixes(holders["number"][known], places[known], seen, taken))
    return np.concatenate(found)


def _suffixes(
    numbers: np.ndarray, owners: np.ndarray, seen: np.ndarray, taken: dict[int, list[int]]
) -> np.ndarray:
    """The suffixes of the rows `numbers` of the ids `owners`; counts them in `seen`."""
    order = np.lexsort((numbers, owners))
    numbers, owners = numbers[order], owners[order]
    counts = np.bincount(owners, minlength=len(seen))
    before = np.cumsum(counts) - counts
    pairs = np.empty(len(numbers), dtype=PAIR)
    pairs["number"] = numbers
    pairs["target"] = np.arange(len(numbers)) - before[owners] + seen[owners] + 1
    seen += counts
    pairs, owners = pairs[pairs["target"] > 1], owners[pairs["target"] > 1]
    for place in np.flatnonzero(np.isin(owners, list(taken))).tolist():
        suffix = int(pairs["target"][place])
        for other in sorted(set(taken[int(owners[place])])):
            suffix += other <= suffix
        pairs["target"][place] = suffix
    return pairs


def _shared(chunks: Iterable[np.ndarray]) -> np.ndarray:
    """The hashes ([n, 2]) that several rows hold."""
    keys, counts = np.zeros((0, 2), dtype=np.uint64), np.zeros(0, dtype=np.int64)
    for chunk in chunks:
        holders = chunk[chunk["suffix"] == 0]
        both = np.concatenate([keys, np.stack([holders["hash"], holders["check"]], axis=1)])
        weights = np.concatenate([counts, np.ones(len(holders), dtype=np.int64)])
        order = np.lexsort((both[:, 1], both[:, 0]))
        both, weights = both[order], weights[order]
        new = np.ones(len(both), dtype=bool)
        new[1:] = (both[1:] != both[:-1]).any(axis=1)
        starts = np.flatnonzero(new)
        keys, counts = both[starts], np.add.reduceat(weights, starts) if len(starts) else weights
    return keys[counts > 1]


def _find(keys: np.ndarray, records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each record the place of its hash in `keys`, and whether it is there."""
    places = np.searchsorted(keys[:, 0], records["hash"])
    known = np.zeros(len(records), dtype=bool)
    left = np.arange(len(records))
    while len(left := left[places[left] < len(keys)]):
        same = keys[places[left], 0] == records["hash"][left]
        right = same & (keys[places[left], 1] == records["check"][left])
        known[left[right]] = True
        left = left[same & ~right]
        places[left] += 1
    return places, known


def _cut(name: str) -> tuple[str, int] | None:
    """`a~2` as a, 2; None for what this module would not have written."""
    base, _, tail = name.rpartition("~")
    if not (tail.isascii() and tail.isdigit()) or tail[0] == "0" or len(tail) > _DIGITS or tail == "1":
        return None
    return base, int(tail)
