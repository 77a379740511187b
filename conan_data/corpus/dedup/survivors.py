"""Which of several documents that say nearly the same thing stays.

Clusters of candidates are no answer: similarity does not carry over, so chains join documents that share
nothing, and all but one of them would go. Here documents are visited in an order of preference, and one is
dropped only when it is as similar as `threshold` to a document *that stays*, which it then names: the first
such one in that order. So every drop can be checked against its survivor, no two candidates above the
threshold both stay, and the result depends on the documents alone, not on their order or on how they were cut
into parts. Documents of a reference set come first and always stay.

Only pairs with an equal band key are compared; what the keys miss stays (see `minhash` for the odds). And a
document is compared with those of its buckets that stay, not with all in them: a page that is there a hundred
thousand times costs a hundred thousand comparisons.

Shapes: M memberships of documents in buckets, D documents.
"""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from conan_data.corpus.dedup.shingles import jaccard


class ShingleCache:
    """Shingles by document, the last used ones in memory, up to `max_bytes`."""

    def __init__(self, shingles_of: Callable[[int], np.ndarray], max_bytes: int) -> None:
        self._shingles_of, self._left = shingles_of, max_bytes
        self._held: OrderedDict[int, np.ndarray] = OrderedDict()

    def __call__(self, document: int) -> np.ndarray:
        if document in self._held:
            self._held.move_to_end(document)
            return self._held[document]
        found = self._held[document] = self._shingles_of(document)
        self._left -= found.nbytes
        while self._left < 0 and len(self._held) > 1:
            self._left += self._held.popitem(last=False)[1].nbytes
        return found


def near_survivors(
    documents: np.ndarray,
    buckets: np.ndarray,
    num_references: int,
    shingles_of: Callable[[int], np.ndarray],
    threshold: float,
) -> np.ndarray:
    """int64 [D]: for each document the one that stays in its stead, itself where it stays.

    `documents` int [M] and `buckets` int [M] pair each document with its buckets, both counted from 0;
    documents are numbered in the order of visits, and the first `num_references` are visited before all and
    stay. `shingles_of(i)` gives document i's shingles, sorted, each once, at least one.
    """
    num_documents = int(documents.max(initial=-1)) + 1
    order = np.argsort(documents, kind="stable")
    own = buckets[order]
    bounds = np.searchsorted(documents[order], np.arange(num_documents + 1)).tolist()
    # The documents of a bucket that stay are written into its own part of `slots`, one behind the other.
    room = np.bincount(buckets)
    starts = np.cumsum(room) - room
    used = np.zeros(len(room), dtype=np.int64)
    slots = np.empty(len(buckets), dtype=np.int32)
    sizes = np.zeros(num_documents, dtype=np.int64)
    survivors = np.arange(num_documents)
    for document in range(num_documents):
        mine = own[bounds[document] : bounds[document + 1]]
        if document >= num_references:
            filled = mine[used[mine] > 0]
            if len(filled):
                candidates = _candidates(slots, starts[filled].tolist(), used[filled].tolist())
                found = _first_similar(document, candidates, sizes, shingles_of, threshold)
                if found >= 0:
                    survivors[document] = found
                    continue
        slots[starts[mine] + used[mine]] = document
        used[mine] += 1
    return survivors


def _candidates(slots: np.ndarray, starts: list[int], used: list[int]) -> list[int]:
    """The documents that stay in some buckets, in the order of visits."""
    if max(used) == 1:
        return sorted({int(slots[start]) for start in starts})
    return np.unique(
        np.concatenate([slots[start : start + count] for start, count in zip(starts, used)])
    ).tolist()


def _first_similar(
    document: int,
    candidates: list[int],
    sizes: np.ndarray,
    shingles_of: Callable[[int], np.ndarray],
    threshold: float,
) -> int:
    """The first of `candidates` that is similar to `document`, or -1. Numbers of shingles too different for
    the threshold need no comparing.
    """
    own = shingles_of(document)
    size = sizes[document] = len(own)
    for other in candidates:
        known = sizes[other]
        if known and min(known, size) < threshold * max(known, size):
            continue
        theirs = shingles_of(other)
        sizes[other] = len(theirs)
        if jaccard(theirs, own) >= threshold:
            return other
    return -1
