"""Examples in rows of one length, none of them cut.

Pretraining may cut a document at the end of a row. An example that is cut would go on answering without what
was asked. So whole examples are laid into rows, the longest first, each into the row where it leaves the
least room (best fit); what stays free at the end of a row is padding, a document of its own without labels.
The rows are made once, from the seed; every epoch takes them in another order, and a row follows from its
number.

L tokens of a row, B rows.
"""

import bisect
from dataclasses import dataclass

import numpy as np

from conan_train.pretrain.packing import NO_LABEL, Batch, Row, stack


@dataclass(frozen=True)
class EncodedExamples:
    """`ids[starts[i] : starts[i + 1]]` is example i, of which the first `prompts[i]` tokens are given."""

    ids: np.ndarray
    starts: np.ndarray
    """int64 [N + 1]"""
    prompts: np.ndarray
    """int64 [N]"""

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.starts)

    def row(self, number: int) -> Row:
        """Example `number` alone; a token is a label where the next one is part of the output."""
        ids = self.ids[self.starts[number] : self.starts[number + 1]].astype(np.int64)
        labels = np.full(len(ids), NO_LABEL, np.int64)
        first = int(self.prompts[number])
        labels[first - 1 : -1] = ids[first:]
        return ids, np.arange(len(ids)), labels, np.full(len(ids), number, np.int64)


class ExampleRows:
    """The rows of all epochs, numbered from 0 on."""

    def __init__(
        self, examples: EncodedExamples, chosen: np.ndarray, *, length: int, seed: int, pad_id: int
    ) -> None:
        self.examples, self.length, self.seed, self.pad_id = examples, length, seed, pad_id
        shuffled = np.random.Generator(np.random.PCG64([seed])).permutation(chosen)
        self.bins = best_fit(examples.lengths, shuffled, length=length)
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    @property
    def per_epoch(self) -> int:
        return len(self.bins)

    def batch(self, first: int, count: int) -> Batch:
        """`count` rows from number `first` on."""
        return stack([self.row(number) for number in range(first, first + count)])

    def row(self, number: int) -> Row:
        """Row `number`."""
        epoch, place = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            draw = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            self._epoch, self._order = epoch, draw.permutation(self.per_epoch)
        return join(self.examples, self.bins[self._order[place]], length=self.length, pad_id=self.pad_id)


def join(examples: EncodedExamples, numbers: list[int], *, length: int, pad_id: int) -> Row:
    """Examples one after the other, and padding up to `length`."""
    rows = [examples.row(number) for number in numbers]
    free = length - sum(len(row[0]) for row in rows)
    padding = (
        np.full(free, pad_id, np.int64),
        np.arange(free),
        np.full(free, NO_LABEL, np.int64),
        np.full(free, numbers[0], np.int64),
    )
    ids, positions, labels, documents = (np.concatenate(column) for column in zip(*rows, padding))
    return ids, positions, labels, documents


def best_fit(lengths: np.ndarray, order: np.ndarray, *, length: int) -> list[list[int]]:
    """Bins of at most `length`; of equal lengths, the first in `order` comes first."""
    bins: list[list[int]] = []
    with_space: dict[int, list[int]] = {}
    spaces: list[int] = []
    for number in order[np.argsort(-lengths[order], kind="stable")].tolist():
        size = int(lengths[number])
        place = bisect.bisect_left(spaces, size)
        if place == len(spaces):
            space, chosen = length, len(bins)
            bins.append([])
        else:
            space = spaces[place]
            chosen = with_space[space].pop()
            if not with_space[space]:
                del spaces[place]
        bins[chosen].append(number)
        left = space - size
        assert left >= 0, "an example is longer than a row"
        waiting = with_space.setdefault(left, [])
        if not waiting:
            bisect.insort(spaces, left)
        waiting.append(chosen)
    return bins
