"""Buckets of tokens for a corpus that is encoded: what a forward takes, ready as arrays, while the one before
is computed.

Padding a batch costs what its longest text costs, and one list of Python integers a text is slow to build at
the speed of a GPU. Texts are taken longest first by their characters, tokenised a large chunk at a time in a
thread of its own, and cut into buckets of near equal token counts. The cut is a pure function of the texts,
so the same shard is always the same forwards.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import numpy as np

from conan_train.step.buckets import token_buckets

TEXTS_A_CHUNK = 4096
"""Texts that are tokenised together: enough to sort well, and few enough that the first forward starts early."""
# N texts, B batch, L positions

Bucket = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Rows [B], token ids [B, L] and mask [B, L], all int64."""


def distinct_texts(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Each text once, and the place there of every text of `texts`, int64 [N]."""
    place_of: dict[str, int] = {}
    places_N = np.fromiter((place_of.setdefault(text, len(place_of)) for text in texts), np.int64, len(texts))
    return list(place_of), places_N


def text_buckets(
    texts: Sequence[str],
    tokenise: Callable[[list[str]], list[list[int]]],
    *,
    budget: int,
    pad_id: int,
) -> Iterator[Bucket]:
    """Every row of `texts` in one bucket, long texts first; `budget` in padded tokens."""
    order_N = np.argsort(-np.fromiter(map(len, texts), np.int64, len(texts)), kind="stable")
    chunks = [order_N[start : start + TEXTS_A_CHUNK] for start in range(0, len(order_N), TEXTS_A_CHUNK)]
    with ThreadPoolExecutor(1, thread_name_prefix="tokenise") as ahead:

        def submit(chunk: np.ndarray) -> Future[list[list[int]]]:
            return ahead.submit(tokenise, [texts[row] for row in chunk.tolist()])

        pending = submit(chunks[0]) if chunks else None
        for number, chunk in enumerate(chunks):
            assert pending is not None
            token_lists = pending.result()
            if number + 1 < len(chunks):
                pending = submit(chunks[number + 1])
            yield from _padded(chunk, token_lists, budget=budget, pad_id=pad_id)


def _padded(
    rows_N: np.ndarray, token_lists: list[list[int]], *, budget: int, pad_id: int
) -> Iterator[Bucket]:
    lengths_N = np.fromiter(map(len, token_lists), np.int64, len(token_lists))
    starts_N = np.cumsum(lengths_N) - lengths_N
    flat = np.fromiter(chain.from_iterable(token_lists), np.int64, int(lengths_N.sum()))
    for bucket in token_buckets(lengths_N.tolist(), budget=budget):
        places_L = np.arange(int(lengths_N[bucket].max()))
        mask_BL = places_L < lengths_N[bucket][:, None]
        source_BL = np.where(mask_BL, starts_N[bucket][:, None] + places_L, 0)
        yield rows_N[bucket], np.where(mask_BL, flat[source_BL], pad_id), mask_BL.astype(np.int64)
