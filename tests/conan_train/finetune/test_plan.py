import numpy as np

from conan_train.finetune.plan import choose_positives, queries_at


def test_an_epoch_shows_every_query_once_and_the_next_in_another_order() -> None:
    first = np.concatenate([queries_at(step, num_queries=12, batch_size=4, seed=3) for step in range(3)])
    second = np.concatenate([queries_at(step, num_queries=12, batch_size=4, seed=3) for step in range(3, 6)])
    assert sorted(first) == sorted(second) == list(range(12))
    assert first.tolist() != second.tolist()


def test_a_batch_does_not_depend_on_what_was_asked_before() -> None:
    late = queries_at(1000, num_queries=10, batch_size=3, seed=0)
    for step in range(5):
        queries_at(step, num_queries=10, batch_size=3, seed=0)
    assert queries_at(1000, num_queries=10, batch_size=3, seed=0).tolist() == late.tolist()


def test_fewer_queries_than_a_batch_make_a_smaller_batch() -> None:
    assert sorted(queries_at(7, num_queries=3, batch_size=8, seed=0)) == [0, 1, 2]


def test_positives_are_chosen_uniformly_and_in_range() -> None:
    own = [np.zeros(count, bool) for count in [1, 2, 5] * 50]
    drawn = np.stack([choose_positives(step, own, same_language=1.0, seed=1) for step in range(200)])
    assert (drawn >= 0).all() and (drawn < np.array([1, 2, 5] * 50)).all()
    shares = np.bincount(drawn[:, 2::3].ravel(), minlength=5) / drawn[:, 2::3].size
    assert np.abs(shares - 0.2).max() < 0.02


def test_the_asked_share_is_in_the_querys_own_language() -> None:
    own = [np.array([False, True, False, True])] * 300
    drawn = np.stack([choose_positives(step, own, same_language=0.6, seed=1) for step in range(100)])
    shares = np.bincount(drawn.ravel(), minlength=4) / drawn.size
    assert np.abs(shares - [0.1, 0.4, 0.1, 0.4]).max() < 0.02
