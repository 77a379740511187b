import itertools
import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conan_data.corpus.dedup import arrays
from conan_data.corpus.dedup import survivors as module
from conan_data.corpus.dedup.arrays import Sets
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.minhash import MinHash
from conan_data.corpus.dedup.shingles import jaccard, shingles
from conan_data.corpus.dedup.survivors import cuts, near_survivors

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
    keys: np.ndarray,
    sets: list[np.ndarray],
    threshold: float = THRESHOLD,
    references: int = 0,
    max_size: int = 10**9,
) -> list[int]:
    """The survivors of documents that are in the order of visits."""
    num, bands = keys.shape
    buckets = np.unique(np.arange(bands) * np.uint64(2**32) + keys, return_inverse=True)[1].reshape(-1)
    documents = np.repeat(np.arange(num), bands)
    return near_survivors(
        documents,
        buckets,
        references,
        lambda chosen: Sets.joined([sets[document] for document in chosen]),
        threshold,
        sizes=np.array([len(found) for found in sets], dtype=np.int64),
        max_size=max_size,
    ).tolist()


def plain(keys: np.ndarray, sets: list[np.ndarray], threshold: float, references: int = 0) -> list[int]:
    """The rule in words, over all pairs."""
    staying: list[int] = []
    for document in range(len(keys)):
        similar = [
            other
            for other in range(document)
            if staying[other] == other
            and document >= references
            and (keys[other] == keys[document]).any()
            and jaccard(sets[other], sets[document]) >= threshold
        ]
        staying.append(similar[0] if similar else document)
    return staying


def run(texts: list[str], ids: list[str]) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Survivors, shingles and places in the order of visits."""
    family = MinHash.from_config(CONFIG)
    sets = [shingles(text, CONFIG.ngram) for text in texts]
    order = sorted(range(len(texts)), key=lambda number: (-len(texts[number]), ids[number]))
    keys = np.stack([family.band_keys(sets[number]) for number in order]) >> np.uint64(33)
    found = compare(keys, [sets[number] for number in order])
    stays = np.empty(len(texts), dtype=np.int64)
    stays[order] = np.array(order)[found]
    return stays, sets, np.argsort(order)


@pytest.fixture(params=["compiled", "numpy"])
def path(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both ways to compare."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            patch.setattr(module, "hasher", lambda: arrays)
        yield


@pytest.mark.usefixtures("path")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.sets(st.integers(0, 9), min_size=1)),
        max_size=25,
    ),
    st.integers(0, 4),
    st.sampled_from([0.07, 0.3, 0.5, 0.8, 1.0]),
    st.sampled_from([1, 12, 40, 1000]),
)
def test_survivors_are_those_of_the_plain_rule(
    documents: list[tuple[tuple[int, int], set[int]]], references: int, threshold: float, max_size: int
) -> None:
    """Whatever the size of the blocks."""
    keys = np.array([row[0] for row in documents], dtype=np.uint64).reshape(-1, 2)
    sets = [np.array(sorted(row[1]), dtype=np.uint64) for row in documents]
    references = min(references, len(documents))
    assert compare(keys, sets, threshold, references, max_size) == plain(keys, sets, threshold, references)


@pytest.mark.parametrize("threshold", [0.07, 0.3, 0.7, 0.8, 0.9, 1.0])
def test_the_threshold_is_met_to_the_last_bit(threshold: float) -> None:
    for size, other in itertools.product(range(1, 16), range(1, 16)):
        for shared in range(min(size, other) + 1):
            sets = [np.arange(size), np.arange(size - shared, size - shared + other)]
            expected = shared / (size + other - shared) >= threshold
            found = compare(np.zeros((2, 1), np.uint64), [s.astype(np.uint64) for s in sets], threshold)
            assert (found == [0, 0]) == expected


@pytest.mark.usefixtures("path")
def test_a_page_that_is_everywhere_is_made_once_a_copy() -> None:
    """And no more is held than may be: the copies come in blocks, the one that stays with each."""
    num, asked = 5000, []

    def load(chosen: np.ndarray) -> Sets:
        asked.append(chosen.tolist())
        return Sets.joined([np.arange(100, dtype=np.uint64)] * len(chosen))

    documents, buckets = np.repeat(np.arange(num), 14), np.tile(np.arange(14), num)
    sizes = np.full(num, 100)
    found = near_survivors(documents, buckets, 0, load, 0.8, sizes=sizes, max_size=50_000)
    assert (found == 0).all()
    assert [chosen for chosen in asked if chosen != [0]] == [
        list(range(start, start + 500)) for start in range(0, num, 500)
    ]
    assert len(asked) == 19


def test_cuts_hold_what_they_may_or_one() -> None:
    assert list(cuts(np.array([3, 3, 9, 1, 2, 4]), 6)) == [(0, 2), (2, 3), (3, 5), (5, 6)]
    assert list(cuts(np.array([], dtype=np.int64), 6)) == []


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
