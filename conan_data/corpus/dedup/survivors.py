"""Which of several documents that say the same thing stays.

Clusters of candidates are no answer: similarity does not carry over, so chains join documents that share
nothing, and all but one of them would go. Here documents are visited by one rule, the longest first and then
the smallest id, and one is dropped only when it is as similar as `threshold` to a document *that stays*,
which it then names. So every drop can be checked against its survivor, no two candidates above the threshold
both stay, and the result depends on the documents alone, not on their order or on how they were cut into
parts.

Only pairs with an equal band key are compared; what the keys miss stays (see `minhash` for the odds). Memory:
about 8 bytes a document and band.

Shapes: N documents, B bands. `rank` is the place of a document in the order of visits, smallest first, no two
equal.
"""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from conan_data.corpus.dedup.shingles import jaccard
from conan_data.progress import progress

NO_BUCKET = -1


def survival_rank(lengths: np.ndarray, ids: list[str]) -> np.ndarray:
    """int64 [N]: places in the order of preference: the longest first (lengths [N], characters), then the
    smallest id, then the first.
    """
    id_order = sorted(range(len(ids)), key=ids.__getitem__)
    id_rank = np.empty(len(ids), dtype=np.int64)
    id_rank[id_order] = np.arange(len(ids))
    order = np.lexsort((id_rank, -lengths.astype(np.int64)))
    rank = np.empty(len(ids), dtype=np.int64)
    rank[order] = np.arange(len(ids))
    return rank


def exact_survivors(hashes: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """int64 [N]: for each document the one of equal hash (uint64 [N, 2]) that stays, itself where it is that
    one.
    """
    order = np.lexsort((rank, hashes[:, 1], hashes[:, 0]))
    ordered = hashes[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    survivors = np.empty(len(order), dtype=np.int64)
    survivors[order] = order[first][np.cumsum(first) - 1]
    return survivors


def shared_buckets(keys: np.ndarray) -> np.ndarray:
    """int64 [N, B]: a number for each band key (uint64 [N, B]) that several documents have, `NO_BUCKET` for
    the others.
    """
    buckets = np.full(keys.shape, NO_BUCKET, dtype=np.int64)
    used = 0
    for band in range(keys.shape[1]):
        _, inverse, counts = np.unique(keys[:, band], return_inverse=True, return_counts=True)
        shared = counts > 1
        numbers = np.where(shared, np.cumsum(shared) - 1 + used, NO_BUCKET)
        buckets[:, band] = numbers[inverse]
        used += int(shared.sum())
    return buckets


def near_survivors(
    keys: np.ndarray, rank: np.ndarray, shingles_of: Callable[[int], np.ndarray], threshold: float
) -> np.ndarray:
    """int64 [N]: for each document the one that stays in its stead, itself where it stays.

    `keys` uint64 [N, B], `rank` int64 [N]; `shingles_of(i)` gives document i's shingles, sorted, each once,
    at least one.
    """
    survivors = np.arange(len(keys))
    buckets = shared_buckets(keys)
    visited = np.flatnonzero((buckets != NO_BUCKET).any(axis=1))
    kept_in: defaultdict[int, list[int]] = defaultdict(list)
    for document in progress(
        visited[np.argsort(rank[visited])].tolist(), "comparing near duplicates", unit="document"
    ):
        own = [bucket for bucket in buckets[document].tolist() if bucket != NO_BUCKET]
        candidates = sorted({other for bucket in own for other in kept_in[bucket]}, key=rank.__getitem__)
        for other in candidates:
            if jaccard(shingles_of(other), shingles_of(document)) >= threshold:
                survivors[document] = other
                break
        else:
            for bucket in own:
                kept_in[bucket].append(document)
    return survivors
