"""Rows against a naive loop over every token of the stream."""

import numpy as np
import pytest

from conan_train.pretrain.packing import NO_LABEL, Rows, Stream


def make(seed: int, num_documents: int = 30) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 25, num_documents)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return generator.permutation(starts[-1]).astype(np.uint16), starts  # every token is another one


def naive(ids: np.ndarray, starts: np.ndarray, order: np.ndarray, length: int) -> list[tuple[list[int], ...]]:
    """(document, token) pairs one by one, then cut."""
    stream = [
        (document, int(token)) for document in order for token in ids[starts[document] : starts[document + 1]]
    ]
    rows = []
    for first in range(0, len(stream), length):
        positions, labels = [], []
        part = stream[first : first + length]
        for place, (document, _) in enumerate(part):
            positions.append(positions[-1] + 1 if place and part[place - 1][0] == document else 0)
            following = stream[first + place + 1] if first + place + 1 < len(stream) else (None, 0)
            labels.append(following[1] if following[0] == document else NO_LABEL)
        rows.append(
            ([token for _, token in part], positions, labels, [int(document) for document, _ in part])
        )
    return rows


@pytest.mark.parametrize("length", [2, 7, 16, 64])
def test_rows_of_a_stream(length: int) -> None:
    ids, starts = make(length)
    order = np.random.default_rng(1).permutation(len(starts) - 1)
    stream = Stream.of(ids, starts, order)
    for number, expected in enumerate(naive(ids, starts, order, length)):
        found = stream.row(number * length, length)
        assert tuple(column.tolist() for column in found) == expected


def test_epochs_are_other_orders_of_the_same_documents() -> None:
    ids, starts = make(3)
    documents = np.asarray([index for index in range(30) if index % 7])
    rows = Rows(ids, starts, documents, length=8, seed=5)
    total = int((starts[documents + 1] - starts[documents]).sum())
    assert rows.per_epoch == total // 8
    allowed = {int(token) for document in documents for token in ids[starts[document] : starts[document + 1]]}
    epochs = [rows.batch(epoch * rows.per_epoch, rows.per_epoch) for epoch in range(3)]
    for batch in epochs:
        seen = batch.ids.ravel().tolist()
        assert len(seen) == len(set(seen)) == rows.per_epoch * 8
        assert set(seen) <= allowed and len(allowed) - len(seen) < 8
        for ids_row, labels in zip(batch.ids.ravel(), batch.labels.ravel(), strict=True):
            place = int(np.flatnonzero(ids == ids_row)[0])
            is_end = place + 1 in starts
            assert labels == (NO_LABEL if is_end else ids[place + 1])
    assert epochs[0].ids.tolist() != epochs[1].ids.tolist() != epochs[2].ids.tolist()


def test_any_row_follows_from_its_number() -> None:
    ids, starts = make(4)
    rows = Rows(ids, starts, np.arange(30), length=8, seed=5)
    far = rows.batch(rows.per_epoch * 2 - 1, 3)
    again = Rows(ids, starts, np.arange(30), length=8, seed=5).batch(rows.per_epoch * 2 - 1, 3)
    assert far.ids.tolist() == again.ids.tolist()
    assert (
        far.ids.tolist()
        == np.concatenate(
            [rows.batch(rows.per_epoch * 2 - 1 + number, 1).ids for number in range(3)]
        ).tolist()
    )
    assert (
        far.ids.tolist()
        != Rows(ids, starts, np.arange(30), length=8, seed=6).batch(rows.per_epoch * 2 - 1, 3).ids.tolist()
    )
