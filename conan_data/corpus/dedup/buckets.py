"""Buckets: the documents that share a band key, and so may be near duplicates.

Each member of a bucket is filed with the bucket's first document, which is what joins them to one component.
Buckets of one document, and of documents of reference sets alone, give nothing to compare.
"""

from collections.abc import Callable, Iterable

import numpy as np

from conan_data.corpus.dedup.arrays import mix
from conan_data.corpus.dedup.shingles import hasher

BAND = np.dtype([("hash", "u8"), ("number", "i8")])
"""A document under one of its band keys."""
MEMBER = np.dtype([("hash", "u8"), ("number", "i8"), ("first", "i8")])
"""A document of a bucket (its key is the hash), and the bucket's smallest number."""


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
    hashes, firsts, counts = np.zeros(0, dtype=np.uint64), *np.zeros((2, 0), dtype=np.int64)
    for chunk in chunks():
        hashes, firsts, counts = hasher().tally(
            np.concatenate([hashes, chunk["hash"]]),
            np.concatenate([firsts, chunk["number"]]),
            np.concatenate([counts, np.ones(len(chunk), dtype=np.int64)]),
        )
    shared = (counts > 1) & (firsts < first_reference)
    hashes, firsts = hashes[shared], firsts[shared]
    for chunk in chunks() if len(hashes) else ():
        places = hasher().find(hashes, np.ascontiguousarray(chunk["hash"]))
        known = places >= 0
        records = np.empty(int(known.sum()), dtype=MEMBER)
        records["hash"], records["number"] = chunk["hash"][known], chunk["number"][known]
        records["first"] = firsts[places[known]]
        add(records)
