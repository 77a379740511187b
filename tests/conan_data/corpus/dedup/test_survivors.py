import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.minhash import MinHash
from conan_data.corpus.dedup.shingles import jaccard, shingles
from conan_data.corpus.dedup.survivors import ShingleCache, near_survivors

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


def compare(
    keys: np.ndarray, sets: list[np.ndarray], threshold: float = THRESHOLD, references: int = 0
) -> list[int]:
    """The survivors of documents that are in the order of visits."""
    num, bands = keys.shape
    buckets = np.unique(np.arange(bands) * np.uint64(2**32) + keys, return_inverse=True)[1].reshape(-1)
    documents = np.repeat(np.arange(num), bands)
    return near_survivors(documents, buckets, references, sets.__getitem__, threshold).tolist()


def plain(keys: np.ndarray, sets: list[np.ndarray], threshold: float, references: int = 0) -> list[int]:
    """The rule in words, over all pairs."""
    survivors: list[int] = []
    for document in range(len(keys)):
        similar = [
            other
            for other in range(document)
            if survivors[other] == other
            and document >= references
            and (keys[other] == keys[document]).any()
            and jaccard(sets[other], sets[document]) >= threshold
        ]
        survivors.append(similar[0] if similar else document)
    return survivors


def run(texts: list[str], ids: list[str]) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Survivors, shingles and places in the order of visits."""
    family = MinHash.from_config(CONFIG)
    sets = [shingles(text, CONFIG.ngram) for text in texts]
    order = sorted(range(len(texts)), key=lambda number: (-len(texts[number]), ids[number]))
    keys = np.stack([family.band_keys(sets[number]) for number in order]) >> np.uint64(33)
    found = compare(keys, [sets[number] for number in order])
    survivors = np.empty(len(texts), dtype=np.int64)
    survivors[order] = np.array(order)[found]
    return survivors, sets, np.argsort(order)


@given(
    st.lists(
        st.tuples(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.sets(st.integers(0, 9), min_size=1)),
        max_size=25,
    ),
    st.integers(0, 4),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
)
def test_survivors_are_those_of_the_plain_rule(
    documents: list[tuple[tuple[int, int], set[int]]], references: int, threshold: float
) -> None:
    keys = np.array([row[0] for row in documents], dtype=np.uint64).reshape(-1, 2)
    sets = [np.array(sorted(row[1]), dtype=np.uint64) for row in documents]
    references = min(references, len(documents))
    assert compare(keys, sets, threshold, references) == plain(keys, sets, threshold, references)


def test_a_page_that_is_everywhere_is_compared_once_a_copy() -> None:
    num = 5000
    asked: list[int] = []

    def shingles_of(document: int) -> np.ndarray:
        asked.append(document)
        return np.arange(100, dtype=np.uint64)

    documents, buckets = np.repeat(np.arange(num), 14), np.tile(np.arange(14), num)
    found = near_survivors(documents, buckets, 0, ShingleCache(shingles_of, 10_000), 0.8)
    assert (found == 0).all()
    assert len(asked) == num


def test_the_cache_holds_no_more_than_it_may() -> None:
    asked: list[int] = []

    def shingles_of(document: int) -> np.ndarray:
        asked.append(document)
        return np.zeros(10, dtype=np.uint64)

    cache = ShingleCache(shingles_of, 250)
    for document in (0, 1, 2, 1, 3, 1, 2, 4, 0):
        cache(document)
    assert asked == [0, 1, 2, 3, 4, 0]


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
    sets = [np.arange(start, start + 100).astype(np.uint64) for start in (0, 10, 20)]
    assert compare(np.zeros((3, 1), dtype=np.uint64), sets) == [0, 0, 2]


@pytest.mark.parametrize("num", [0, 1])
def test_few_documents_are_no_error(num: int) -> None:
    assert compare(np.zeros((num, 14), dtype=np.uint64), [np.zeros(1, dtype=np.uint64)] * num) == list(
        range(num)
    )
