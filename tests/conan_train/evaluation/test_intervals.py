import numpy as np
import pytest

from conan_train.evaluation.intervals import interval


def test_against_a_plain_loop():
    rng = np.random.default_rng(0)
    values = rng.random((80, 2)) * [1, 0.1]
    low, high = interval(values, [str(row) for row in range(80)], num_samples=4000, seed=1)
    means = np.array([values[rng.integers(0, 80, 80)].mean(axis=0) for _ in range(4000)])
    np.testing.assert_allclose(low, np.quantile(means, 0.025, axis=0), atol=0.006)
    np.testing.assert_allclose(high, np.quantile(means, 0.975, axis=0), atol=0.006)


def test_same_seed_same_interval():
    values = np.random.default_rng(0).random((30, 4))
    names = [str(row) for row in range(30)]
    one, again, other = (interval(values, names, num_samples=200, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_copies_of_a_source_do_not_narrow_the_interval():
    values = np.random.default_rng(0).random((40, 1))
    names = [str(row) for row in range(40)]
    low, high = interval(values, names, num_samples=2000, seed=1)
    low_copied, high_copied = interval(
        np.repeat(values, 9, axis=0), np.repeat(names, 9), num_samples=2000, seed=1
    )
    np.testing.assert_allclose([low_copied, high_copied], [low, high], atol=1e-12)
    naive_low, naive_high = interval(
        np.repeat(values, 9, axis=0), [str(row) for row in range(360)], num_samples=2000, seed=1
    )
    assert naive_high - naive_low < 0.5 * (high - low)


@pytest.mark.parametrize(("rows", "samples"), [(1, 100), (5, 0)])
def test_nothing_to_draw(rows, samples):
    assert (
        interval(np.ones((rows, 4)), [str(row) for row in range(rows)], num_samples=samples, seed=1) is None
    )
