"""Which queries a step sees, which of its positives each query trains on, and whose turn it is: pure functions
of seed and step.

Nothing is drawn from a running generator, so a resumed run sees the same batches, in constant time at any
step; all ranks plan the same global batch without a word; and the queries of the steps to come are known to
whoever mines for them.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from conan_data.errors import UserError

# B queries of a step, Q queries, E positives of the queries of a step, in compressed rows, K tasks


def queries_at(step: int, *, num_queries: int, batch_size: int, seed: int) -> np.ndarray:
    """Rows of the queries of `step` (0-based), distinct, int64 [min(B, Q)]. Every epoch is a new order; what
    does not fill a batch at its end is left out.
    """
    size = min(batch_size, num_queries)
    epoch, place = divmod(step, num_queries // size)
    return _order(num_queries, seed, epoch)[place * size : (place + 1) * size]


@dataclass(frozen=True, kw_only=True)
class QueryPlan:
    """The queries of every step. With `cells` a batch holds queries of one cell only (a source, a language, or
    both): every epoch each cell gives as many batches as it can fill, in a random order of all batches, so
    that cells come in proportion to their sizes. A cell's queries beyond its last full batch are others every
    epoch; those of a cell that fills none are never seen (`never_seen`).
    """

    num_queries: int
    batch_size: int
    seed: int
    cells: np.ndarray | None = None
    """int [Q]: the cell of each query."""
    field: str = "batch_size"
    """Name of the batch size in the config, for messages."""
    _epochs: dict[int, np.ndarray] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.cells is not None and not self.num_batches:
            largest = int(np.bincount(self.cells).max(initial=0))
            raise UserError(
                f"{self.field}: {self.batch_size} is more than any source or language of a homogeneous plan has"
                f" (the largest has {largest}); use a smaller one, or leave homogeneous out"
            )

    @property
    def num_batches(self) -> int:
        """Steps of an epoch."""
        if self.cells is None:
            return self.num_queries // min(self.batch_size, self.num_queries)
        return int((np.bincount(self.cells) // self.batch_size).sum())

    def never_seen(self) -> dict[int, int]:
        """Queries of each cell that is smaller than a batch."""
        if self.cells is None:
            return {}
        size = np.bincount(self.cells)
        return {int(cell): int(size[cell]) for cell in np.flatnonzero((size > 0) & (size < self.batch_size))}

    def queries_at(self, step: int) -> np.ndarray:
        """Rows of the queries of `step` (0-based), distinct, int64 [B]; fewer where there are fewer in all."""
        if self.cells is None:
            return queries_at(
                step, num_queries=self.num_queries, batch_size=self.batch_size, seed=self.seed
            ).astype(np.int64)
        epoch, place = divmod(step, self.num_batches)
        if epoch not in self._epochs:
            if len(self._epochs) > 1:
                self._epochs.pop(next(iter(self._epochs)))
            self._epochs[epoch] = self._homogeneous(epoch)
        return self._epochs[epoch][place].astype(np.int64)

    def queries_between(self, first: int, last: int) -> np.ndarray:
        """Rows of the queries of the steps `first` to `last - 1`, each once, in the order in which they are
        first seen: what a miner has to have ready.
        """
        if first >= last:
            return np.zeros(0, np.int64)
        rows = np.concatenate([self.queries_at(step) for step in range(first, last)])
        _, places = np.unique(rows, return_index=True)
        return rows[np.sort(places)]

    def _homogeneous(self, epoch: int) -> np.ndarray:
        """The batches of an epoch, int32 [number, B]."""
        assert self.cells is not None
        order_Q = _order(self.num_queries, self.seed, epoch)
        order_Q = order_Q[np.argsort(self.cells[order_Q], kind="stable")]
        size = np.bincount(self.cells)
        start = np.cumsum(size) - size
        place_Q = np.arange(self.num_queries) - np.repeat(start, size)
        kept = place_Q < np.repeat(size // self.batch_size * self.batch_size, size)
        batches = order_Q[kept].reshape(-1, self.batch_size).astype(np.int32)
        return batches[np.random.default_rng([self.seed, 2, epoch]).permutation(len(batches))]


def joint_cells(*codes: np.ndarray) -> np.ndarray:
    """int64 [Q]: equal where all of the codes are equal, counted from 0."""
    _, cells = np.unique(np.stack(codes), axis=1, return_inverse=True)
    return cells.reshape(-1)


def choose_positives(
    step: int, is_own_language_E: np.ndarray, offsets: np.ndarray, *, same_language: float, seed: int
) -> np.ndarray:
    """For each query of `step` the place of the positive that it trains on, int64 [B].

    `is_own_language_E` says of each positive whether it is in the query's language; those of query b are at
    `offsets[b]` to `offsets[b + 1]`, at least one. With probability `same_language` the choice is uniform
    among those, if there are any; else it is uniform among all.
    """
    toss_B, draw_B = np.random.default_rng([seed, 1, step]).random((len(offsets) - 1, 2)).T
    num_B = np.diff(offsets)
    own_before = np.concatenate([[0], np.cumsum(is_own_language_E)])
    num_own_B = own_before[offsets[1:]] - own_before[offsets[:-1]]
    is_own_B = (toss_B < same_language) & (num_own_B > 0)
    any_B = (draw_B * num_B).astype(np.int64)
    # The n-th of all own positives is where their running count reaches n.
    wanted_B = own_before[offsets[:-1]] + (draw_B * num_own_B).astype(np.int64) + 1
    own_B = np.searchsorted(own_before, wanted_B) - 1 - offsets[:-1]
    return np.where(is_own_B, own_B, any_B)


def turns_before(step: int, weights: Sequence[float]) -> np.ndarray:
    """How many of the steps before `step` were each task's, int64 [K]: its share of them, to less than one
    turn for each task after the other.

    The first task gets its share of all steps, rounded, the second its share of what is left, and so on; exact
    arithmetic keeps it so at any step.
    """
    left, rest = step, sum(_fractions(tuple(weights)))
    turns = np.zeros(len(weights), np.int64)
    for task, weight in enumerate(_fractions(tuple(weights))):
        # Half a turn ahead, so that a short run is not all of the last task's.
        turns[task] = left if weight == rest else (2 * left * weight + rest) // (2 * rest)
        left, rest = left - int(turns[task]), rest - weight
        if not rest:
            break
    return turns


def turn_at(step: int, weights: Sequence[float]) -> tuple[int, int]:
    """Whose step `step` is, and the how manyth of its own it is for it (0-based)."""
    before = turns_before(step, weights)
    task = int(np.argmax(turns_before(step + 1, weights) - before))
    return task, int(before[task])


@lru_cache(maxsize=8)
def _fractions(weights: tuple[float, ...]) -> tuple[Fraction, ...]:
    return tuple(Fraction(weight).limit_denominator(1_000_000) for weight in weights)


@lru_cache(maxsize=4)
def _order(num_queries: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, epoch]).permutation(num_queries)
