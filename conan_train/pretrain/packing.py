"""Rows of tokens without padding, in an order that is a function of the seed and the step alone.

The documents of an epoch are shuffled and laid end to end, and the row of number r is the r-th stretch of
`length` tokens. Two things must not cross the end of a document: attention (position ids restart there, which
`transformers` reads as a border) and prediction (no label). A document that is cut by the end of a row goes
on at the start of the next one, without what came before, and the last token of a row still predicts the
first of the next. At most `length - 1` tokens at the end of an epoch, other ones each time, are left out.

L tokens of a row, B rows.
"""

from dataclasses import dataclass

import numpy as np

NO_LABEL = -100
"""Label of a position that predicts nothing; torch's cross-entropy leaves it out by default."""


@dataclass(frozen=True)
class Batch:
    """int64 [B, L] each: tokens, positions within their documents, and the token that each is to predict."""

    ids: np.ndarray
    positions: np.ndarray
    labels: np.ndarray

    @property
    def num_labels(self) -> int:
        return int((self.labels != NO_LABEL).sum())


@dataclass(frozen=True)
class Stream:
    """Documents laid end to end, in the order of `documents`."""

    ids: np.ndarray
    starts: np.ndarray
    documents: np.ndarray
    ends: np.ndarray
    """int64 [N]: where each document ends in the stream."""

    @classmethod
    def of(cls, ids: np.ndarray, starts: np.ndarray, documents: np.ndarray) -> "Stream":
        return cls(ids, starts, documents, np.cumsum(starts[documents + 1] - starts[documents]))

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def row(self, start: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tokens, positions and labels of the stretch from `start`, shorter than `length` where the stream
        ends.
        """
        stop = min(start + length, len(self))
        ids, positions = np.empty(stop - start, np.int64), np.empty(stop - start, np.int64)
        labels = np.full(stop - start, NO_LABEL, np.int64)
        place = int(np.searchsorted(self.ends, start, side="right"))
        while start < stop:
            end = int(self.ends[place])
            count = min(end, stop) - start
            document_end = int(self.starts[self.documents[place] + 1])
            first = document_end - (end - start)
            part = slice(len(ids) - (stop - start), len(ids) - (stop - start) + count)
            following = self.ids[first + 1 : min(first + 1 + count, document_end)]
            ids[part] = self.ids[first : first + count]
            positions[part] = np.arange(count)
            labels[part.start : part.start + len(following)] = following
            start, place = start + count, place + 1
        return ids, positions, labels


class Rows:
    """The packed rows of all epochs, numbered from 0 on."""

    def __init__(
        self, ids: np.ndarray, starts: np.ndarray, documents: np.ndarray, *, length: int, seed: int
    ) -> None:
        self.ids, self.starts, self.documents = ids, starts, documents
        self.length, self.seed = length, seed
        self.per_epoch = int((starts[documents + 1] - starts[documents]).sum()) // length
        self._epoch, self._stream = -1, Stream.of(ids, starts, documents[:0])

    def batch(self, first: int, count: int) -> Batch:
        """`count` rows from number `first` on."""
        rows = [self._row(number) for number in range(first, first + count)]
        ids, positions, labels = (np.stack(column) for column in zip(*rows, strict=True))
        return Batch(ids, positions, labels)

    def _row(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        epoch, place = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            order = np.random.Generator(np.random.PCG64([self.seed, epoch])).permutation(len(self.documents))
            self._epoch, self._stream = epoch, Stream.of(self.ids, self.starts, self.documents[order])
        return self._stream.row(place * self.length, self.length)
