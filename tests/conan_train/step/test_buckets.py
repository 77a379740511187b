import itertools

import numpy as np
import pytest

from conan_train.step.buckets import padding_share, rank_buckets, token_buckets


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


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("budget", [1, 50, 1024])
@pytest.mark.parametrize("num", [1, 7, 30, 400])
def test_ranks_share_the_texts(num: int, budget: int, world_size: int) -> None:
    lengths = np.random.default_rng(num).lognormal(4, 0.8, size=num).astype(int) + 1
    ranks = rank_buckets(lengths.tolist(), budget=budget, world_size=world_size)
    assert len(ranks) == world_size and len({len(own) for own in ranks}) == 1
    buckets = [bucket for own in ranks for bucket in own]
    places = np.concatenate(buckets).tolist()
    repeats = len(places) - num
    assert set(places) == set(range(num))
    # Only the shortest text is ever repeated, and only where nothing is left to be shared.
    assert repeats == 0 or (max(map(len, buckets)) == 1 and len(buckets) < num + world_size)
    assert sum(places.count(place) - 1 for place in range(num) if lengths[place] > lengths.min()) == 0
    for own in ranks:
        assert [lengths[bucket].max() for bucket in own] == sorted(
            (lengths[bucket].max() for bucket in own), reverse=True
        )
    for bucket in buckets:
        assert len(bucket) == 1 or len(bucket) * lengths[bucket].max() <= budget
    assert len(buckets) < len(token_buckets(lengths, budget=budget)) + world_size


@pytest.mark.parametrize("world_size", [2, 8])
@pytest.mark.parametrize("seed", range(5))
def test_ranks_work_about_as_much(seed: int, world_size: int) -> None:
    lengths = np.random.default_rng(seed).lognormal(4.4, 0.8, size=128 * world_size).astype(int) + 1
    ranks = rank_buckets(lengths, budget=2048, world_size=world_size)
    work = np.array([sum(len(bucket) * lengths[bucket].max() for bucket in own) for own in ranks])
    assert work.max() / work.mean() < 1.05
    one = sum(len(bucket) * lengths[bucket].max() for bucket in token_buckets(lengths, budget=2048))
    assert work.sum() < 1.1 * one  # to share costs little padding
    rounds = [[lengths[bucket].max() for bucket in round_] for round_ in zip(*ranks, strict=True)]
    for longer, shorter in itertools.pairwise(rounds):  # ranks that wait for each other have neighbours
        assert min(longer) >= max(shorter)


def test_no_texts_no_buckets() -> None:
    assert rank_buckets([], budget=10, world_size=2) == [[], []]
