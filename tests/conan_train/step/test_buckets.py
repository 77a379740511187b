import numpy as np
import pytest

from conan_train.step.buckets import padding_share, token_buckets


@pytest.mark.parametrize("budget", [1, 50, 1024])
@pytest.mark.parametrize("seed", range(5))
def test_every_text_once_and_within_the_budget(seed: int, budget: int) -> None:
    lengths = np.random.default_rng(seed).lognormal(4, 0.8, size=200).astype(int) + 1
    buckets = token_buckets(lengths.tolist(), budget=budget)
    assert sorted(np.concatenate(buckets)) == list(range(200))
    for bucket in buckets:
        assert len(bucket) == 1 or len(bucket) * lengths[bucket].max() <= budget
    maxima = [lengths[bucket].max() for bucket in buckets]
    assert maxima == sorted(maxima, reverse=True)


def test_equal_lengths_stay_in_place_order() -> None:
    assert [bucket.tolist() for bucket in token_buckets([3, 5, 3, 5, 3], budget=10)] == [[1, 3], [0, 2, 4]]
    assert token_buckets([], budget=10) == []


def test_little_padding() -> None:
    lengths = np.random.default_rng(0).lognormal(4.4, 0.8, size=500).astype(int) + 1
    together = padding_share(lengths, [np.arange(500)])
    sorted_into_buckets = padding_share(lengths, token_buckets(lengths, budget=2048))
    assert together > 0.8 and sorted_into_buckets < 0.1
    assert padding_share([2, 4], [np.array([0, 1])]) == pytest.approx(2 / 8)
