import itertools
import random

import numpy as np
import pytest

from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.minhash import MinHash
from conan_data.corpus.dedup.shingles import jaccard, shingles
from conan_data.corpus.dedup.survivors import (
    NO_BUCKET,
    exact_survivors,
    near_survivors,
    shared_buckets,
    survival_rank,
)

CONFIG = DedupConfig()
THRESHOLD = CONFIG.threshold


def planted(num_originals: int, seed: int) -> list[str]:
    """Texts of 60 to 160 made-up words (every third one of Han characters), each with copies in which 0 to 5
    words are others.
    """
    rng = random.Random(seed)
    texts = []
    for number in range(num_originals):
        if number % 3 == 0:
            words, glue = [chr(rng.randrange(0x4E00, 0x9000)) for _ in range(rng.randrange(60, 160))], ""
        else:
            words, glue = ["".join(rng.choices("abcdefgh", k=6)) for _ in range(rng.randrange(60, 160))], " "
        texts.append(glue.join(words))
        for _ in range(rng.randrange(3)):
            copy = list(words)
            for _ in range(rng.randrange(6)):
                copy[rng.randrange(len(copy))] = "变" if glue == "" else "changed"
            texts.append(glue.join(copy))
    rng.shuffle(texts)
    return texts


def run(texts: list[str], ids: list[str]) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    family = MinHash.from_config(CONFIG)
    sets = [shingles(text, CONFIG.ngram) for text in texts]
    rank = survival_rank(np.array([len(text) for text in texts]), ids)
    keys = np.stack([family.band_keys(found) for found in sets])
    return near_survivors(keys, rank, sets.__getitem__, THRESHOLD), sets, rank


def test_planted_duplicates_are_found() -> None:
    texts = planted(300, seed=1)
    survivors, sets, rank = run(texts, [f"d{number:04d}" for number in range(len(texts))])
    similar = [
        (a, b)
        for a, b in itertools.combinations(range(len(texts)), 2)
        if jaccard(sets[a], sets[b]) >= THRESHOLD
    ]
    both_stay = [(a, b) for a, b in similar if survivors[a] == a and survivors[b] == b]
    assert len(similar) > 50
    assert len(both_stay) / len(similar) < 0.03
    dropped = np.flatnonzero(survivors != np.arange(len(texts)))
    assert len(dropped) > 40
    for document in dropped:
        stays = survivors[document]
        assert survivors[stays] == stays
        assert jaccard(sets[document], sets[stays]) >= THRESHOLD
        assert rank[stays] < rank[document]


def test_result_does_not_depend_on_the_order() -> None:
    texts = planted(60, seed=2)
    ids = [f"d{number:04d}" for number in range(len(texts))]
    order = list(range(len(texts)))
    random.Random(3).shuffle(order)
    first, *_ = run(texts, ids)
    second, *_ = run([texts[place] for place in order], [ids[place] for place in order])
    assert {ids[a]: ids[b] for a, b in enumerate(first)} == {
        ids[order[a]]: ids[order[b]] for a, b in enumerate(second)
    }


def test_chains_do_not_pull_in_what_is_different() -> None:
    """A is like B and B like C, but A is not like C: the longest stays, what is like it goes, and C stays
    too.
    """
    sets = [np.arange(0, 100), np.arange(10, 110), np.arange(20, 120)]
    sets = [values.astype(np.uint64) for values in sets]
    keys = np.zeros((3, 1), dtype=np.uint64)
    survivors = near_survivors(keys, np.array([0, 1, 2]), sets.__getitem__, 0.8)
    assert survivors.tolist() == [0, 0, 2]


def test_candidates_below_the_threshold_stay() -> None:
    sets = [np.arange(10, dtype=np.uint64), np.arange(5, 15, dtype=np.uint64)]
    assert near_survivors(
        np.zeros((2, 2), dtype=np.uint64), np.array([1, 0]), sets.__getitem__, 0.8
    ).tolist() == [0, 1]


def test_longest_then_smallest_id_stays() -> None:
    rank = survival_rank(np.array([3, 9, 9, 3]), ["a", "z", "b", "a"])
    assert rank.tolist() == [2, 1, 0, 3]


def test_exact_duplicates_name_the_first_in_rank() -> None:
    hashes = np.array([[1, 1], [1, 2], [1, 1], [1, 1], [5, 1]], dtype=np.uint64)
    assert exact_survivors(hashes, np.array([4, 3, 0, 1, 2])).tolist() == [2, 1, 2, 2, 4]
    assert exact_survivors(np.zeros((0, 2), dtype=np.uint64), np.zeros(0, dtype=np.int64)).tolist() == []


def test_buckets_hold_keys_of_one_band_only() -> None:
    keys = np.array([[7, 1], [7, 7], [1, 7], [2, 3]], dtype=np.uint64)
    buckets = shared_buckets(keys)
    assert buckets[0, 0] == buckets[1, 0] != buckets[1, 1] == buckets[2, 1]
    assert (buckets == NO_BUCKET).sum() == 4


@pytest.mark.parametrize("num", [0, 1])
def test_few_documents_are_no_error(num: int) -> None:
    keys = np.zeros((num, 14), dtype=np.uint64)
    assert near_survivors(keys, np.arange(num), lambda _: np.zeros(0, dtype=np.uint64), 0.8).tolist() == list(
        range(num)
    )
