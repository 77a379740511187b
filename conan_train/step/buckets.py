"""Length-sorted buckets under a token budget: what one forward takes.

Padding every column of a batch to its longest text wastes more than half of the work on real length
distributions. Sorted by length, a bucket pads only to its own longest text. The cut is a pure function of the
lengths: longest first (memory peaks at the start, not an hour in), ties by place, so the same batch is always
cut the same way.
"""

from collections.abc import Sequence

import numpy as np


def token_buckets(lengths: Sequence[int], *, budget: int) -> list[np.ndarray]:
    """Places 0..n-1 in buckets, each place once; bucket size times its longest length is at most `budget`.

    A text longer than the budget is a bucket of its own. Buckets run from long to short.
    """
    length_N = np.asarray(lengths, dtype=np.int64)
    order_N = np.argsort(-length_N, kind="stable")
    buckets = []
    start = 0
    while start < len(order_N):
        size = max(1, budget // max(1, int(length_N[order_N[start]])))
        buckets.append(order_N[start : start + size])
        start += size
    return buckets


def padding_share(lengths: Sequence[int], buckets: Sequence[np.ndarray]) -> float:
    """Padded positions over all positions of the buckets' forwards, in [0, 1)."""
    length_N = np.asarray(lengths, dtype=np.int64)
    area = sum(len(bucket) * int(length_N[bucket].max()) for bucket in buckets)
    return 1.0 - int(length_N.sum()) / area if area else 0.0
