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

Documents are taken in blocks, whose shingles are made at once and held until the block is done; those of
documents of earlier blocks are made again where they stay and share a bucket with one of the block.

Shapes: M memberships of documents in buckets, D documents, N of them at hand.
"""

from collections.abc import Callable, Iterator

import numpy as np

from conan_data.corpus.dedup.arrays import Sets
from conan_data.corpus.dedup.shingles import hasher


def near_survivors(
    documents: np.ndarray,
    buckets: np.ndarray,
    num_references: int,
    load: Callable[[np.ndarray], Sets],
    threshold: float,
    *,
    sizes: np.ndarray,
    max_size: int,
) -> np.ndarray:
    """int64 [D]: for each document the one that stays in its stead, itself where it stays.

    `documents` int [M] and `buckets` int [M] pair each document with its buckets, both counted from 0;
    documents are numbered in the order of visits, and the first `num_references` are visited before all and
    stay. `load` gives the shingles of some documents, at least one each; `sizes` int [D] says what each
    costs, and `max_size` how much may be held twice over (one document, whatever it costs).
    """
    visits = Visits(documents, buckets, num_references, threshold)
    num_documents = len(visits.survivors)
    visits.settle(0, num_references, np.arange(0), Sets.joined([]), enters=True)
    for start, stop in cuts(sizes[num_references:num_documents], max_size):
        block = np.arange(num_references + start, num_references + stop)
        first, last = num_references + start, num_references + stop
        own, earlier = load(block), visits.staying(first, last)
        chunks = list(cuts(sizes[earlier], max_size)) or [(0, 0)]
        for low, high in chunks:
            chunk = earlier[low:high]
            at_hand = load(chunk) + own if len(chunk) else own
            visits.settle(first, last, np.concatenate([chunk, block]), at_hand, enters=high == len(earlier))
    return visits.survivors


class Visits:
    """Who stays so far, and in which buckets those are."""

    def __init__(
        self, documents: np.ndarray, buckets: np.ndarray, num_references: int, threshold: float
    ) -> None:
        num_documents = int(documents.max(initial=-1)) + 1
        order = np.argsort(documents)
        self._own = np.ascontiguousarray(buckets[order], dtype=np.int32)
        counts = np.bincount(documents, minlength=num_documents)
        self._bounds = np.concatenate([[0], np.cumsum(counts)])
        """The buckets of document i are `own[bounds[i] : bounds[i + 1]]`."""
        # The documents of a bucket that stay are written into its own part of `slots`, one behind the other.
        room = np.bincount(buckets)
        self._starts = np.cumsum(room) - room
        self._used = np.zeros(len(room), dtype=np.int64)
        self._slots = np.empty(len(buckets), dtype=np.int32)
        self._seen = np.full(num_documents, -1, dtype=np.int32)
        self._places = np.full(num_documents, -1, dtype=np.int32)
        self._num_references, self._threshold = num_references, threshold
        self.survivors = np.arange(num_documents)

    def staying(self, first: int, last: int) -> np.ndarray:
        """The documents that stay so far (ascending) in the buckets of documents `first` to `last`."""
        buckets = self._own[self._bounds[first] : self._bounds[last]]
        buckets = np.unique(buckets[self._used[buckets] > 0])
        counts = self._used[buckets]
        ends = np.cumsum(counts)
        places = np.repeat(self._starts[buckets] - ends + counts, counts) + np.arange(counts.sum())
        return np.unique(self._slots[places]).astype(np.int64)

    def settle(self, first: int, last: int, documents: np.ndarray, sets: Sets, *, enters: bool) -> None:
        """Lets the first similar one of `documents` (int64 [N], with their `sets`) stay in the stead of each of
        `first` to `last` that is not settled yet and no reference; those it compares with stay, and share a
        bucket. With `enters`, what is left stays.
        """
        self._places[documents] = np.arange(len(documents))
        hasher().settle(
            first,
            last,
            self._num_references,
            enters,
            self._bounds,
            self._own,
            self._starts,
            self._used,
            self._slots,
            self._seen,
            self.survivors,
            sets.values,
            sets.ends,
            self._places,
            self._threshold,
        )
        self._places[documents] = -1


def cuts(sizes: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Ranges that cost at most `most` together, or are one document."""
    ends, start = np.cumsum(sizes), 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield start, stop
        start = stop
