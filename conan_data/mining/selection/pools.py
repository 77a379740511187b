"""The result of a selection: a row of negatives for each query, and what became of all candidates.

Legend: Q queries, P places in a pool.
"""

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NO_REASON = 255
_MAPPED = 2**26
"""Bytes from which on an array of the pools is mapped to a file."""


@dataclass(frozen=True)
class Pools:
    """Negatives of Q queries, best first; -1 (rows, ranks) and NaN (scores) after the last one."""

    rows: np.ndarray
    """int32 [Q, P]: document rows."""
    scores: np.ndarray
    """float32 [Q, P]: cosines with the query."""
    ranks: np.ndarray
    """int32 [Q, P]: places among the candidates that are no answers, from 0."""
    positive_scores: np.ndarray
    """float32 [Q]; NaN for a query without a positive."""
    counts: dict[str, int]
    """Candidates looked at, by what became of them (`REASONS`)."""
    reasons: np.ndarray | None = None
    """uint8 [Q, P]: places in `REASONS`, `NO_REASON` after the last negative; None: all stand there by rank."""

    @property
    def sizes(self) -> np.ndarray:
        """int64: negatives of each query."""
        return (self.rows >= 0).sum(axis=1)

    @property
    def num_short(self) -> int:
        """Queries whose pool is not full."""
        return int((self.sizes < self.rows.shape[1]).sum())

    @classmethod
    def empty(
        cls,
        positive_scores_Q: np.ndarray,
        *,
        pool_size: int,
        counts: dict[str, int],
        directory: Path | None = None,
    ) -> "Pools":
        """Pools without negatives, to be filled in; large ones are mapped to files without a name in
        `directory`, where one is given.
        """
        shape = (len(positive_scores_Q), pool_size)
        return cls(
            rows=_full(shape, -1, np.int32, directory),
            scores=_full(shape, np.nan, np.float32, directory),
            ranks=_full(shape, -1, np.int32, directory),
            positive_scores=positive_scores_Q,
            counts=counts,
            reasons=_full(shape, NO_REASON, np.uint8, directory),
        )


def _full(shape: tuple[int, ...], value: float, dtype: type, directory: Path | None) -> np.ndarray:
    """As `np.full`; in a file without a name in `directory` where it is large."""
    size = np.dtype(dtype).itemsize * math.prod(shape)
    if directory is None or size < _MAPPED:
        return np.full(shape, value, dtype)
    with tempfile.TemporaryFile(dir=directory) as file:
        if hasattr(os, "posix_fallocate"):
            # A full disk is an error here; met by a mapped page it would end the process without a word.
            os.posix_fallocate(file.fileno(), 0, size)
        array = np.asarray(np.memmap(file, dtype, "w+", shape=shape))
    array[:] = value
    return array
