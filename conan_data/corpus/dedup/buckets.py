"""Buckets: the documents that share a band key, and so may be near duplicates.

Each member of a bucket is filed with the bucket's first document, which is what joins them to one component.
Buckets of one document, and of documents of reference sets alone, give nothing to compare.
"""

from collections.abc import Callable, Iterable

import numpy as np

from conan_data.corpus.dedup.arrays import mix

BAND = np.dtype([("hash", "u8"), ("number", "i8")])
"""A document under one of its band keys."""
MEMBER = np.dtype([("hash", "u8"), ("number", "i8"), ("first", "i8")])
"""A document of a bucket (its key is the hash), and the bucket's smallest number."""
_BUCKET = np.dtype([("hash", "u8"), ("first", "i8"), ("count", "i8")])


def band_records(keys: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """`BAND` of documents with band keys (uint64 [n, B]), each key told from those of other bands."""
    num_bands = keys.shape[1]
    bands = mix(np.arange(1, num_bands + 1, dtype=np.uint64))
    records = np.empty(keys.size, dtype=BAND)
    records["hash"] = mix(keys ^ bands).reshape(-1)
    records["number"] = np.repeat(numbers, num_bands)
    return records


def members(
    chunks: Callable[[], Iterable[np.ndarray]], first_reference: int, add: Callable[[np.ndarray], None]
) -> None:
    """Gives `add` the `MEMBER` records of the buckets that are worth comparing.

    `chunks()` gives records of some keys (`BAND`), any number of times.
    """
    buckets = np.zeros(0, dtype=_BUCKET)
    for chunk in chunks():
        found = np.empty(len(chunk), dtype=_BUCKET)
        found["hash"], found["first"], found["count"] = chunk["hash"], chunk["number"], 1
        buckets = _joined(np.concatenate([buckets, found]))
    buckets = buckets[(buckets["count"] > 1) & (buckets["first"] < first_reference)]
    if not len(buckets):
        return
    for chunk in chunks():
        places = np.minimum(np.searchsorted(buckets["hash"], chunk["hash"]), len(buckets) - 1)
        known = buckets["hash"][places] == chunk["hash"]
        records = np.empty(int(known.sum()), dtype=MEMBER)
        records["hash"], records["number"] = chunk["hash"][known], chunk["number"][known]
        records["first"] = buckets["first"][places[known]]
        add(records)


def _joined(buckets: np.ndarray) -> np.ndarray:
    """Buckets of one hash as one, in the order of the hashes."""
    if not len(buckets):
        return buckets
    buckets = buckets[np.argsort(buckets["hash"], kind="stable")]
    starts = np.flatnonzero(np.append(True, buckets["hash"][1:] != buckets["hash"][:-1]))
    joined = buckets[starts]
    joined["first"] = np.minimum.reduceat(buckets["first"], starts)
    joined["count"] = np.add.reduceat(buckets["count"], starts)
    return joined
