"""What a refresh may cost, counted in documents.

Seconds differ from machine to machine and from one moment to the next, and a refresh that depends on them cannot be
repeated. The work of training is known beforehand: a step reads its queries, their positives and their negatives
forwards, and backwards at twice that price; encoding reads forwards only. So the budget is a share of three times
what the steps of a window read. Lengths are those of a sample of the set, in characters and never over a bound.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from conan_data.mining.arrays import document_texts

_FORWARD_AND_BACKWARD = 3
_SAMPLE = 2048
_CHARACTERS_A_TOKEN = 4
"""No more of a text is counted than so many a token of the maximum length."""


@dataclass(frozen=True)
class Budget:
    """Documents, and what part of one a query counts as."""

    documents: int
    query_cost: float


def refresh_budget(
    *,
    share: float,
    steps: int,
    batch_size: int,
    num_negatives: int,
    queries: pa.Table,
    corpus: pa.Table,
    max_length: int,
) -> Budget:
    """For refreshes every `steps` steps of `batch_size` queries, a positive and `num_negatives` each."""
    bound = _CHARACTERS_A_TOKEN * max_length
    query_length = _mean_length(_spread(queries, _SAMPLE).column("text").to_pylist(), bound)
    document_length = _mean_length(document_texts(_spread(corpus, _SAMPLE)), bound)
    query_cost = min(1.0, query_length / document_length)
    read = steps * batch_size * (query_cost + 1 + num_negatives)
    return Budget(int(share * _FORWARD_AND_BACKWARD * read), query_cost)


def _spread(table: pa.Table, number: int) -> pa.Table:
    """Rows from all over a table: a set is often sorted by language or length."""
    return table.take(np.linspace(0, table.num_rows - 1, min(number, table.num_rows)).astype(np.int64))


def _mean_length(texts: Iterable[str], bound: int) -> float:
    return max(1.0, float(np.mean([min(len(text), bound) for text in texts])))
