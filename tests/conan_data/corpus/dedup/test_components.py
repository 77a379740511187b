import random

import numpy as np
import pytest

from conan_data.corpus.dedup import components
from conan_data.corpus.dedup.buckets import BAND, members
from conan_data.corpus.dedup.components import label_components


def labels(num: int, edges: list[tuple[int, int]], block: int) -> list[int]:
    found = np.empty(num, dtype=np.int64)
    pairs = np.array(edges, dtype=np.int64).reshape(-1, 2)
    cuts = range(0, len(pairs), block)
    label_components(
        found, lambda: ((pairs[cut : cut + block, 0], pairs[cut : cut + block, 1]) for cut in cuts)
    )
    return found.tolist()


def plain(num: int, edges: list[tuple[int, int]]) -> list[int]:
    found = list(range(num))
    for _ in range(num):
        for left, right in edges:
            found[left] = found[right] = min(found[left], found[right])
    return found


@pytest.mark.parametrize("seed", range(20))
def test_labels_are_the_smallest_numbers(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "BLOCK", 7)
    rng = random.Random(seed)
    num = rng.randrange(1, 40)
    edges = [(rng.randrange(num), rng.randrange(num)) for _ in range(rng.randrange(num))]
    assert labels(num, edges, block=rng.randrange(1, 9)) == plain(num, edges)


def test_a_long_chain_is_one_component() -> None:
    num = 20_000
    edges = [(number, number - 1) for number in range(1, num)]
    random.Random(1).shuffle(edges)
    assert set(labels(num, edges, block=1000)) == {0}


@pytest.mark.parametrize("chunk", [1, 3, 10])
def test_buckets_of_one_or_of_references_are_left_out(chunk: int) -> None:
    records = np.array([(5, 1), (9, 2), (5, 3), (7, 100), (7, 101), (8, 100), (8, 0)], dtype=BAND)
    found: list[tuple[int, int, int]] = []
    cuts = range(0, len(records), chunk)
    members(lambda: [records[cut : cut + chunk] for cut in cuts], 100, lambda r: found.extend(r.tolist()))
    assert sorted(found) == [(5, 1, 1), (5, 3, 1), (8, 0, 0), (8, 100, 0)]
