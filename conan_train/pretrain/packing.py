"""Rows of tokens without padding, in an order that is a function of the seed and the step alone.

The documents of an epoch are shuffled and laid end to end, and the row of number r is the r-th stretch of
`length` tokens. Two things must not cross the end of a document: attention (position ids restart there, which
`transformers` reads as a border) and prediction (no label). A document that is cut by the end of a row goes
on at the start of the next one, without what came before, and the last token of a row still predicts the
first of the next. At most `length - 1` tokens at the end of an epoch, other ones each time, are left out.

L tokens of a row, B rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

NO_LABEL = -100
"""Label of a position that predicts nothing; torch's cross-entropy leaves it out by default."""


@dataclass(frozen=True)
class Batch:
    """int64 [B, L] each: tokens, positions within their documents, the token that each is to predict, and the
    number of its document.
    """

    ids: np.ndarray
    positions: np.ndarray
    labels: np.ndarray
    documents: np.ndarray

    @property
    def num_labels(self) -> int:
        return int((self.labels != NO_LABEL).sum())


Row = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""The columns of a batch, of one row."""


def stack(rows: Sequence[Row]) -> Batch:
    """Rows of one length as a batch."""
    return Batch(*(np.stack(column) for column in zip(*rows, strict=True)))


class PackedRows(Protocol):
    """Rows of one length, numbered from 0 over all epochs; each follows from its number."""

    length: int

    @property
    def per_epoch(self) -> int: ...

    def batch(self, first: int, count: int) -> Batch:
        """`count` rows from number `first` on."""
        ...


class Ids(Protocol):
    """An array of token ids, or what is read like one."""

    def __getitem__(self, part: slice, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Stream:
    """Documents laid end to end, in the order of `documents`."""

    ids: Ids
    starts: np.ndarray
    documents: np.ndarray
    ends: np.ndarray
    """int64 [N]: where each document ends in the stream."""

    @classmethod
    def of(cls, ids: Ids, starts: np.ndarray, documents: np.ndarray) -> "Stream":
        return cls(ids, starts, documents, np.cumsum(starts[documents + 1] - starts[documents]))

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def row(self, start: int, length: int) -> Row:
        """The stretch from `start`, shorter than `length` where the stream ends."""
        stop = min(start + length, len(self))
        ids, positions = np.empty(stop - start, np.int64), np.empty(stop - start, np.int64)
        labels = np.full(stop - start, NO_LABEL, np.int64)
        documents = np.empty(stop - start, np.int64)
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
            documents[part] = self.documents[place]
            labels[part.start : part.start + len(following)] = following
            start, place = start + count, place + 1
        return ids, positions, labels, documents


class Rows:
    """The packed rows of all epochs, numbered from 0 on; every epoch shuffles the documents anew."""

    def __init__(
        self, ids: Ids, starts: np.ndarray, documents: np.ndarray, *, length: int, seed: int | Sequence[int]
    ) -> None:
        self.ids, self.starts, self.documents = ids, starts, documents
        self.length, self.seed = length, [seed] if isinstance(seed, int) else list(seed)
        self.num_tokens = int((starts[documents + 1] - starts[documents]).sum())
        self._epoch, self._stream = -1, Stream.of(ids, starts, documents[:0])

    @property
    def per_epoch(self) -> int:
        return self.num_tokens // self.length

    def batch(self, first: int, count: int) -> Batch:
        """`count` rows from number `first` on."""
        return stack([self.row(number) for number in range(first, first + count)])

    def row(self, number: int) -> Row:
        """Row `number`."""
        epoch, place = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            order = np.random.Generator(np.random.PCG64([*self.seed, epoch])).permutation(len(self.documents))
            self._epoch, self._stream = epoch, Stream.of(self.ids, self.starts, self.documents[order])
        return self._stream.row(place * self.length, self.length)
