import numpy as np
import pytest

from conan_data.errors import UserError
from conan_train.tasks.plan import (
    QueryPlan,
    choose_positives,
    joint_cells,
    queries_at,
    turn_at,
    turns_before,
)


def test_an_epoch_shows_every_query_once_and_the_next_in_another_order() -> None:
    first = np.concatenate([queries_at(step, num_queries=12, batch_size=4, seed=3) for step in range(3)])
    second = np.concatenate([queries_at(step, num_queries=12, batch_size=4, seed=3) for step in range(3, 6)])
    assert sorted(first) == sorted(second) == list(range(12))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("cells", [None, np.arange(100) % 3])
def test_a_batch_does_not_depend_on_what_was_asked_before(cells: np.ndarray | None) -> None:
    def fresh() -> QueryPlan:
        return QueryPlan(num_queries=100, batch_size=7, seed=0, cells=cells)

    late = fresh().queries_at(100_000)
    plan = fresh()
    for step in (*range(40), 99_999, 3):
        plan.queries_at(step)
    assert plan.queries_at(100_000).tolist() == late.tolist()
    assert plan.queries_at(3).tolist() == fresh().queries_at(3).tolist() != late.tolist()


def test_fewer_queries_than_a_batch_make_a_smaller_batch() -> None:
    assert sorted(queries_at(7, num_queries=3, batch_size=8, seed=0)) == [0, 1, 2]
    assert QueryPlan(num_queries=3, batch_size=8, seed=0).num_batches == 1


def test_a_homogeneous_batch_holds_one_cell_and_cells_come_by_their_size() -> None:
    cells = np.repeat([0, 1, 2, 3], [60, 35, 3, 7])[np.random.default_rng(0).permutation(105)]
    plan = QueryPlan(num_queries=105, batch_size=5, seed=4, cells=cells)
    assert plan.num_batches == 12 + 7 + 0 + 1
    assert plan.never_seen() == {2: 3}
    epochs = [
        [plan.queries_at(epoch * plan.num_batches + place) for place in range(plan.num_batches)]
        for epoch in range(2)
    ]
    for batches in epochs:
        assert all(len(set(cells[batch])) == 1 for batch in batches)
        rows = np.concatenate(batches)
        assert len(np.unique(rows)) == len(rows) == 100
        assert np.bincount(cells[rows], minlength=4).tolist() == [60, 35, 0, 5]
    first, second = (np.concatenate(batches).tolist() for batches in epochs)
    assert first != second
    order = [int(cells[batch[0]]) for batch in epochs[0]]
    assert order != sorted(order), "cells must not come one after the other"


def test_the_rest_of_a_cell_changes_from_epoch_to_epoch() -> None:
    plan = QueryPlan(num_queries=7, batch_size=5, seed=0, cells=np.zeros(7, np.int64))
    assert set(np.concatenate([plan.queries_at(step) for step in range(20)])) == set(range(7))


def test_no_cell_fills_a_batch() -> None:
    with pytest.raises(UserError, match=r"batch_size: 5 .* \(the largest has 4\)"):
        QueryPlan(num_queries=12, batch_size=5, seed=0, cells=np.repeat([0, 1, 2], 4))


def test_cells_of_two_codes() -> None:
    cells = joint_cells(np.array([0, 0, 1, 1, 0]), np.array([5, 6, 5, 5, 5]))
    assert cells.tolist() == [0, 1, 2, 2, 0]


def test_what_lies_ahead() -> None:
    plan = QueryPlan(num_queries=10, batch_size=4, seed=1)
    ahead = plan.queries_between(1, 4)
    seen = list(dict.fromkeys(int(row) for step in (1, 2, 3) for row in plan.queries_at(step)))
    assert ahead.tolist() == seen
    assert plan.queries_between(3, 3).tolist() == []


def test_positives_are_chosen_uniformly_and_in_range() -> None:
    sizes = np.array([1, 2, 5] * 50)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    own = np.zeros(offsets[-1], bool)
    drawn = np.stack([choose_positives(step, own, offsets, same_language=1.0, seed=1) for step in range(200)])
    assert (drawn >= 0).all() and (drawn < sizes).all()
    shares = np.bincount(drawn[:, 2::3].ravel(), minlength=5) / drawn[:, 2::3].size
    assert np.abs(shares - 0.2).max() < 0.02


def test_the_asked_share_is_in_the_querys_own_language() -> None:
    own = np.array([False, True, False, True] * 300)
    offsets = np.arange(301) * 4
    drawn = np.stack([choose_positives(step, own, offsets, same_language=0.6, seed=1) for step in range(100)])
    shares = np.bincount(drawn.ravel(), minlength=4) / drawn.size
    assert np.abs(shares - [0.1, 0.4, 0.1, 0.4]).max() < 0.02


def test_positives_equal_those_of_a_loop() -> None:
    rng = np.random.default_rng(2)
    lists = [rng.random(rng.integers(1, 7)) < 0.4 for _ in range(500)]
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in lists])])
    found = choose_positives(9, np.concatenate(lists), offsets, same_language=0.7, seed=3)
    uniform = np.random.default_rng([3, 1, 9]).random((500, 2))
    for query, (own, (toss, draw)) in enumerate(zip(lists, uniform)):
        places = np.flatnonzero(own) if toss < 0.7 and own.any() else np.arange(len(own))
        assert found[query] == places[int(draw * len(places))]


@pytest.mark.parametrize(
    "weights", [(1.0, 0.8), (0.2, 0.3, 0.5), (1.0,), (5.0, 1.0, 1.0, 0.01), (1 / 3, 2 / 3)]
)
def test_turns_keep_their_shares_over_any_run_and_are_counted_in_constant_time(
    weights: tuple[float, ...],
) -> None:
    share = np.array(weights) / sum(weights)
    counts = np.zeros(len(weights), np.int64)
    for step in range(500):
        task, place = turn_at(step, weights)
        assert place == counts[task], "a task's own steps follow one another"
        counts[task] += 1
        assert (counts == turns_before(step + 1, weights)).all()
        assert np.abs(counts - share * (step + 1)).max() <= 1.0
    far = 10**12
    assert turns_before(far, weights).sum() == far
    assert np.abs(turns_before(far, weights) / far - share).max() < 1e-5
