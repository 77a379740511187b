"""Mining end to end on vectors, and the arrays it works on: groups, margins, wide queries, memory."""

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from conan_data import tables
from conan_data.errors import UserError
from conan_data.mining.arrays import RetrievalArrays, document_texts, retrieval_arrays, text_codes
from conan_data.mining.config import SelectionConfig
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.hash_encoder import HashEncoder
from conan_data.mining.pools import mine_pools, pools_of_vectors
from conan_data.mining.search.exact import ExactSearcher
from conan_data.mining.selection import Pools
from conan_data.mining.selection import pools as selection_pools
from conan_data.retrieval import RetrievalSplit

NUM_DOCUMENTS, NUM_QUERIES, DIMENSION = 900, 60, 32


def unit(rng: np.random.Generator, num: int) -> np.ndarray:
    vectors = rng.standard_normal((num, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def case() -> tuple[Embeddings, Embeddings, RetrievalArrays]:
    """Query 0 has no positive, query 1 belongs to a group of 400, the others to groups of five; group members
    lie close to each other.
    """
    rng = np.random.default_rng(0)
    groups = np.concatenate((np.zeros(400), 1 + np.arange(500) // 5)).astype(np.int32)
    centres = unit(rng, 101)
    documents = centres[groups] + 0.05 * unit(rng, NUM_DOCUMENTS)
    positives = [[], [3], *([400 + 5 * query] for query in range(2, NUM_QUERIES))]
    queries = np.array([documents[own[0]] if own else unit(rng, 1)[0] for own in positives]) + 0.6 * unit(
        rng, NUM_QUERIES
    )
    shuffle = rng.permutation(NUM_DOCUMENTS)
    place = np.argsort(shuffle)
    arrays = RetrievalArrays(
        positive_offsets=np.concatenate(([0], np.cumsum([len(own) for own in positives]))),
        positive_rows=np.array([place[row] for own in positives for row in own], np.int32),
        groups=groups[shuffle],
        texts=np.arange(NUM_DOCUMENTS, dtype=np.int32) // 2,
        query_languages=(np.arange(NUM_QUERIES) % 2).astype(np.int32),
        languages=("en", "de"),
    )
    normal = [
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (queries, documents[shuffle])
    ]
    return Embeddings.from_array(normal[0]), Embeddings.from_array(normal[1]), arrays


def mined(
    case: tuple[Embeddings, Embeddings, RetrievalArrays], *, memory: int = 10**8, **selection: object
) -> Pools:
    config = SelectionConfig(**{"pool_size": 10, "depth": 30, **selection})
    return pools_of_vectors(*case, config, searcher=ExactSearcher(memory=memory))


def equal(first: Pools, second: Pools) -> bool:
    arrays = ("rows", "scores", "ranks", "positive_scores")
    return first.counts == second.counts and all(
        np.array_equal(getattr(first, name), getattr(second, name), equal_nan=name != "rows")
        for name in arrays
    )


def test_no_member_of_a_positives_group_survives_and_every_other_query_has_negatives(case: tuple) -> None:
    pools, arrays = mined(case), case[2]
    owners = arrays.positive_owners()
    for query, positive in zip(owners, arrays.positive_rows):
        pool = pools.rows[query][pools.rows[query] >= 0]
        assert len(pool) and not (arrays.groups[pool] == arrays.groups[positive]).any()
    assert pools.counts["same-group"] > 399 and pools.counts["known-positive"] >= 50
    assert np.isnan(pools.positive_scores[0]) and pools.sizes[0] == 0


def test_the_members_that_are_dropped_would_have_been_the_best_candidates(case: tuple) -> None:
    """Shows that the test above can fail: without groups, they are in the pools."""
    queries, documents, arrays = case
    blind = RetrievalArrays(**{**vars(arrays), "groups": np.full(NUM_DOCUMENTS, -1, np.int32)})
    pools = mined((queries, documents, blind), margin=1.0)
    assert (arrays.groups[pools.rows[2][pools.rows[2] >= 0]] == arrays.groups[arrays.positive_rows[1]]).any()


def test_pools_equal_a_search_of_everything(case: tuple) -> None:
    queries, documents, arrays = case
    pools = mined(case, skip=2)
    scores = (queries[0:60].astype(float) @ documents[0:900].astype(float).T).astype(np.float32)
    for query, positive in zip(arrays.positive_owners(), arrays.positive_rows):
        order = [
            row
            for row in np.lexsort((np.arange(900), -scores[query]))
            if arrays.groups[row] != arrays.groups[positive]
        ][:30]
        limit = np.float32(0.95 * float(scores[query, positive]))
        seen, groups, expected = {arrays.texts[positive]}, set(), []
        others = np.flatnonzero(arrays.groups == arrays.groups[positive])
        for rank, row in enumerate(order):
            better = [
                other for other in others if (-scores[query, other], other) < (-scores[query, row], row)
            ]
            if (
                scores[query, row] <= limit
                and rank >= 2
                and arrays.groups[row] not in groups
                and arrays.texts[row] not in seen | {arrays.texts[other] for other in better}
            ):
                expected.append(row)
            seen.add(arrays.texts[row])
            groups.add(arrays.groups[row])
        assert pools.rows[query][: len(expected[:10])].tolist() == expected[:10]


@pytest.mark.parametrize("memory", [2_500_000, 6_000_000])
def test_pools_do_not_depend_on_memory(case: tuple, memory: int) -> None:
    assert ExactSearcher(memory=memory).batch_size(dimension=DIMENSION, k=30) < 10**4
    assert equal(mined(case, memory=memory), mined(case))


def test_pools_of_some_queries_are_those_that_they_get_among_all(case: tuple) -> None:
    queries, documents, arrays = case
    rows = np.array([41, 1, 0, 7])
    some = mined(
        (Embeddings.from_array(queries.gather(rows).astype(np.float32)), documents, arrays.take_queries(rows))
    )
    everything = mined(case)
    np.testing.assert_array_equal(some.rows, everything.rows[rows])
    np.testing.assert_array_equal(some.scores, everything.scores[rows])


def test_a_wide_query_does_not_widen_the_search_of_the_others(case: tuple) -> None:
    widths = []

    class Recording(ExactSearcher):
        def search(self, queries_QD: np.ndarray, documents: Embeddings, *, k: int) -> tuple:
            widths.append((len(queries_QD), k))
            return super().search(queries_QD, documents, k=k)

    pools_of_vectors(*case, SelectionConfig(pool_size=10, depth=30), searcher=Recording(memory=10**8))
    assert widths == [(58, 35), (1, 430)]


def test_a_margin_of_a_language_holds_for_its_queries_only(case: tuple) -> None:
    default, strict = mined(case), mined(case, margin_by_language={"de": 0.5})
    even = np.arange(NUM_QUERIES) % 2 == 0
    np.testing.assert_array_equal(default.rows[even], strict.rows[even])
    assert np.nanmax(strict.scores[~even] / strict.positive_scores[~even, None]) <= 0.5001
    assert np.nanmax(default.scores[~even] / default.positive_scores[~even, None]) > 0.55


def retrieval_split(qrels: list[tuple[str, str, int]]) -> RetrievalSplit:
    documents = [
        {"_id": "d0", "title": "", "text": "Red  apple", "lang": "en", "group": "fruit"},
        {"_id": "d1", "title": None, "text": "red apple ", "lang": "en", "group": ""},
        {"_id": "d2", "title": "Red", "text": "apple", "lang": "en", "group": ""},
        {"_id": "d3", "title": "Apfel", "text": "roter", "lang": "de", "group": "fruit"},
    ]
    queries = [
        {"_id": f"q{n}", "text": f"t{n}", "lang": lang, "source_id": f"q{n}"}
        for n, lang in enumerate(["de", "en", "de"])
    ]
    rows = [{"query-id": q, "corpus-id": d, "score": s} for q, d, s in qrels]
    return RetrievalSplit(
        corpus=pa.Table.from_pylist(documents, schema=tables.CORPUS),
        queries=pa.Table.from_pylist(queries, schema=tables.QUERIES),
        qrels=pa.Table.from_pylist(rows, schema=tables.QRELS),
        translations=tables.TRANSLATIONS.empty_table(),
    )


def test_arrays_of_a_set() -> None:
    data = retrieval_split(
        [("q2", "d3", 1), ("q2", "d1", 2), ("q0", "d0", 1), ("q2", "d3", 1), ("q1", "d0", 0)]
    )
    arrays = retrieval_arrays(data)
    assert arrays.positive_offsets.tolist() == [0, 1, 1, 3] and arrays.positive_rows.tolist() == [0, 1, 3]
    assert arrays.groups[0] == arrays.groups[3] >= 0 and arrays.groups[1] == arrays.groups[2] == -1
    assert len(set(arrays.texts[:3])) == 1 and arrays.texts[3] != arrays.texts[0]
    assert [arrays.languages[code] for code in arrays.query_languages] == ["de", "en", "de"]
    assert arrays.num_answers().tolist() == [2, 0, 3]
    assert list(document_texts(data.corpus)) == ["Red  apple", "red apple", "Red apple", "Apfel roter"]
    taken = arrays.take_queries(np.array([2, 0]))
    assert taken.positive_offsets.tolist() == [0, 2, 3] and taken.positive_rows.tolist() == [1, 3, 0]


def test_a_judgement_of_what_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="corpus-id 'd9' is not in the set"):
        retrieval_arrays(retrieval_split([("q0", "d0", 1), ("q0", "d9", 1)]))


def test_text_codes_of_no_texts() -> None:
    assert text_codes(iter([])).tolist() == []


def test_mining_with_an_encoder_finds_what_shares_words(tmp_path: Path) -> None:
    corpus = [
        "cats sleep all day",
        "cats sleep all night",
        "dogs bark all day",
        "rust iron water",
        "cats sleep all day long",
    ]
    arrays = RetrievalArrays(
        positive_offsets=np.array([0, 1, 2]),
        positive_rows=np.array([0, 3], np.int32),
        groups=np.array([1, 2, 3, 4, 1], np.int32),
        texts=np.arange(5, dtype=np.int32),
        query_languages=np.zeros(2, np.int32),
        languages=("en",),
    )
    pools = mine_pools(
        HashEncoder(dimension=512),
        arrays,
        SelectionConfig(pool_size=2, depth=4),
        query_texts=["do cats sleep all day", "iron water"],
        query_ids=["q0", "q1"],
        document_texts=corpus,
        document_ids=[str(row) for row in range(5)],
        directory=tmp_path,
        searcher=ExactSearcher(memory=10**8),
    )
    assert pools.rows[0].tolist() == [1, 2]
    assert pools.counts["same-group"] == 1 and pools.counts["known-positive"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "queries"]


def test_a_full_disk_is_an_error_before_pools_are_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(selection_pools, "_MAPPED", 1)
    monkeypatch.setattr(selection_pools.os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space"):
        Pools.empty(np.zeros(3, np.float32), pool_size=4, counts={}, directory=tmp_path)


def test_mining_during_training_needs_no_data_libraries() -> None:
    code = (
        "import sys, conan_data.mining.pools, conan_data.mining.arrays\n"
        "print(sorted({'polars', 'datasets', 'sentence_transformers', 'transformers', 'datatrove', 'faiss'} & set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_memory_that_cannot_do_is_refused_with_what_would() -> None:
    with pytest.raises(UserError, match="give at least"):
        ExactSearcher(memory=1000).batch_size(dimension=64, k=10)
