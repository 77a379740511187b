"""Length-sorted buckets under a token budget: what one forward takes, and which rank takes it.

Padding every column of a batch to its longest text wastes more than half of the work on real length
distributions. Sorted by length, a bucket pads only to its own longest text. The cut is a pure function of the
lengths: longest first (memory peaks at the start, not an hour in), ties by place, so the same batch is always
cut the same way, and all ranks agree without a word.

On several ranks a step hangs when one of them runs a forward more than another. Here **every rank gets the
same number of buckets**, by construction.
"""

from collections.abc import Sequence

import numpy as np


def token_buckets(lengths: Sequence[int] | np.ndarray, *, budget: int) -> list[np.ndarray]:
    """Places 0..n-1 in buckets, each place once; bucket size times its longest length is at most `budget`.

    A text longer than the budget is a bucket of its own. Buckets run from long to short.
    """
    length_N = np.asarray(lengths, dtype=np.int64)
    order_N = np.argsort(-length_N, kind="stable")
    return np.split(order_N, _cuts(length_N[order_N].tolist(), budget)[1:]) if len(order_N) else []


def rank_buckets(
    lengths: Sequence[int] | np.ndarray, *, budget: int, world_size: int
) -> list[list[np.ndarray]]:
    """The buckets of every rank: as in `token_buckets`, equally many a rank, with nearly equal padded tokens.

    Every place is on one rank, with one exception: where there are too few texts to go round, a bucket that
    repeats the shortest text fills the gap. It comes after the real one (in the order of ranks, then of
    buckets), so whoever takes the first occurrence of a place as *the* one gives the repeat no gradient.

    The n-th buckets of all ranks hold neighbours in length, so ranks that wait for each other at every
    forward (FSDP) wait little.
    """
    length_N = np.asarray(lengths, dtype=np.int64)
    if not len(length_N):
        return [[] for _ in range(world_size)]
    order_N = np.argsort(-length_N, kind="stable")
    sorted_N = length_N[order_N].tolist()
    cuts = _cuts(sorted_N, budget)
    num_buckets = -(-len(cuts) // world_size) * world_size
    cuts = _finer(sorted_N, _cuts(sorted_N, _least_budget(sorted_N, budget, num_buckets)), num_buckets)
    buckets = np.split(order_N, cuts[1:])
    buckets += [order_N[-1:]] * (num_buckets - len(buckets))
    return _dealt(buckets, length_N, world_size)


def padding_share(lengths: Sequence[int] | np.ndarray, buckets: Sequence[np.ndarray]) -> float:
    """Padded positions over all positions of the buckets' forwards, in [0, 1)."""
    length_N = np.asarray(lengths, dtype=np.int64)
    area = sum(len(bucket) * int(length_N[bucket].max()) for bucket in buckets)
    return 1.0 - int(length_N.sum()) / area if area else 0.0


def _cuts(sorted_N: list[int], budget: int) -> list[int]:
    """Where buckets start, as few as possible, in lengths that run from long to short."""
    cuts = []
    start = 0
    while start < len(sorted_N):
        cuts.append(start)
        start += max(1, budget // max(1, sorted_N[start]))
    return cuts


def _least_budget(sorted_N: list[int], budget: int, num_buckets: int) -> int:
    """The smallest budget that still needs no more than `num_buckets`: buckets of even size, so no rank ends
    on a full one while another has a remainder.
    """
    low, high = 1, budget
    while low < high:
        middle = (low + high) // 2
        if len(_cuts(sorted_N, middle)) <= num_buckets:
            high = middle
        else:
            low = middle + 1
    return high


def _finer(sorted_N: list[int], cuts: list[int], num_buckets: int) -> list[int]:
    """More cuts, through the middle of what is largest, until there are `num_buckets` or only single texts."""
    cuts = list(cuts)
    while len(cuts) < num_buckets:
        ends = [*cuts[1:], len(sorted_N)]
        areas = [(end - cut) * sorted_N[cut] if end - cut > 1 else -1 for cut, end in zip(cuts, ends)]
        largest = int(np.argmax(areas))
        if areas[largest] < 0:
            break
        cuts.insert(largest + 1, (cuts[largest] + ends[largest] + 1) // 2)
    return cuts


def _dealt(buckets: list[np.ndarray], length_N: np.ndarray, world_size: int) -> list[list[np.ndarray]]:
    """One bucket a rank and round, the largest of the round to the rank that has least so far."""
    ranks: list[list[np.ndarray]] = [[] for _ in range(world_size)]
    load_R = np.zeros(world_size, dtype=np.int64)
    for first in range(0, len(buckets), world_size):
        areas = np.array(
            [len(bucket) * length_N[bucket[0]] for bucket in buckets[first : first + world_size]]
        )
        by_area = np.argsort(-areas, kind="stable")
        for rank, place in zip(np.argsort(load_R, kind="stable"), by_area):
            ranks[rank].append(buckets[first + place])
            load_R[rank] += areas[place]
    return ranks
