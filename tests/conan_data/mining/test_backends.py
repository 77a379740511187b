"""Every backend by the same suite: what it finds is scored and ordered as by brute force, exact ones find it
all, and the others say what they miss.
"""

import logging

import numpy as np
import pytest

from conan_data.errors import UserError
from conan_data.mining.config import SearchConfig
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.search.approximate import ApproximateSearcher, recall
from conan_data.mining.search.hits import Hits, Searcher, merge
from conan_data.mining.search.open import open_searcher

DIMENSION = 32
BACKENDS = ["exact", "faiss-flat", "ivf", "hnsw"]
EXACT = BACKENDS[:2]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, np.ndarray]:
    """Clusters, with 60 documents equal to query 0."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, DIMENSION))
    documents = unit(centres[rng.integers(40, size=4000)] + 0.7 * rng.standard_normal((4000, DIMENSION)))
    queries = unit(centres[rng.integers(40, size=64)] + 0.7 * rng.standard_normal((64, DIMENSION)))
    documents[rng.choice(4000, 60, replace=False)] = queries[0]
    return queries, documents


def shards(documents: np.ndarray) -> Embeddings:
    return Embeddings(np.split(documents, [700, 703, 3000]), dimension=documents.shape[1])


def brute_force(queries: np.ndarray, documents: np.ndarray, k: int) -> Hits:
    scores = (queries.astype(np.float64) @ documents.astype(np.float64).T).astype(np.float32)
    rows = np.array([np.lexsort((np.arange(len(documents)), -row))[:k] for row in scores])
    return Hits(np.take_along_axis(scores, rows, axis=1), rows.astype(np.int32))


def searcher_of(backend: str, *, memory: int = 10**8, **settings: object) -> Searcher:
    return open_searcher(SearchConfig(backend=backend, **settings), memory=memory)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hits_are_scored_and_ordered_exactly(backend: str, case: tuple) -> None:
    queries, documents = case
    hits = searcher_of(backend).search(queries, shards(documents), k=50)
    exact = (queries.astype(np.float64) @ documents.astype(np.float64).T).astype(np.float32)
    assert hits.rows.shape == (64, 50) and hits.rows.min() >= 0
    np.testing.assert_array_equal(hits.scores, np.take_along_axis(exact, hits.rows.astype(np.int64), axis=1))
    for scores, rows in zip(hits.scores, hits.rows):
        assert len(set(rows.tolist())) == 50
        assert np.array_equal(np.lexsort((rows, -scores)), np.arange(50))


@pytest.mark.parametrize("memory", [4 * 10**6, 10**8])
@pytest.mark.parametrize("backend", EXACT)
def test_exact_backends_agree_to_the_id(backend: str, memory: int, case: tuple) -> None:
    queries, documents = case
    for k in (1, 50, 300):
        hits = searcher_of(backend, memory=memory).search(queries, shards(documents), k=k)
        expected = brute_force(queries, documents, k)
        np.testing.assert_array_equal(hits.rows, expected.rows)
        np.testing.assert_array_equal(hits.scores, expected.scores)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("num_documents", [0, 1, 7])
def test_fewer_documents_than_asked_for(backend: str, num_documents: int, case: tuple) -> None:
    queries, documents = case
    few = Embeddings([documents[:num_documents]], dimension=DIMENSION)
    hits = searcher_of(backend).search(queries[:3], few, k=9)
    assert hits.rows.shape == (3, num_documents)
    if num_documents:
        np.testing.assert_array_equal(hits.rows, brute_force(queries[:3], documents[:num_documents], 9).rows)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_queries(backend: str, case: tuple) -> None:
    assert searcher_of(backend).search(case[0][:0], shards(case[1]), k=5).rows.shape == (0, 5)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("backend", ["ivf", "hnsw"])
def test_recall_is_reported_and_true(
    backend: str, bits: int, case: tuple, caplog: pytest.LogCaptureFixture
) -> None:
    queries, documents = case
    searcher = searcher_of(backend, code_bits=bits, recall_sample=64)
    with caplog.at_level(logging.INFO, logger="conan_data"):
        searcher.prepare(Embeddings([queries], dimension=DIMENSION), shards(documents), k=20)
    expected = brute_force(queries, documents, 20).rows
    found = searcher.search(queries, searcher._documents, k=20).rows
    share = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(expected.tolist(), found.tolist())])
    assert searcher.report["recall"] == pytest.approx(share, abs=1e-4) and share > 0.9
    assert searcher.report["recall_k"] == 20 and searcher.report["recall_queries"] == 64
    assert "recall@20" in caplog.text


def test_low_recall_is_warned_of(case: tuple, caplog: pytest.LogCaptureFixture) -> None:
    searcher = searcher_of("ivf", lists=60, probes=1, min_recall=0.99)
    queries = Embeddings([case[0]], dimension=DIMENSION)
    with caplog.at_level(logging.WARNING, logger="conan_data"):
        searcher.prepare(queries, shards(case[1]), k=50)
    assert searcher.report["recall"] < 0.99
    assert "raise search.probes" in caplog.text


def test_what_one_list_lacks_is_no_hit(case: tuple) -> None:
    hits = searcher_of("ivf", lists=60, probes=1).search(case[0], shards(case[1]), k=600)
    missing = hits.rows < 0
    assert missing.any() and np.isneginf(hits.scores[missing]).all()
    assert (np.diff(missing.astype(int), axis=1) >= 0).all()


def test_an_ivf_index_is_the_same_twice(case: tuple) -> None:
    one, other = (searcher_of("ivf", lists=50, probes=2).search(case[0], shards(case[1]), k=50) for _ in "ab")
    np.testing.assert_array_equal(one.rows, other.rows)


def test_recall_of_a_searcher_that_misses_half(case: tuple) -> None:
    class Half:
        def search(self, queries: np.ndarray, documents: Embeddings, *, k: int) -> Hits:
            hits = brute_force(queries, case[1], k)
            hits.rows[:, ::2] = -1
            return hits

    assert recall(Half(), case[0], shards(case[1]), k=10, memory=10**7) == 0.5


@pytest.mark.parametrize("backend", ["ivf", "hnsw"])
def test_an_index_that_does_not_fit_is_refused_with_what_it_needs(backend: str, case: tuple) -> None:
    documents = shards(case[1])
    with pytest.raises(UserError, match=r"give at least [\d,]+ or take 8-bit codes") as refused:
        searcher_of(backend, memory=200_000).search(case[0], documents, k=5)
    needed = int(str(refused.value).split("at least ")[1].split()[0].replace(",", ""))
    assert isinstance(searcher_of(backend, memory=needed), ApproximateSearcher)
    assert searcher_of(backend, memory=needed).search(case[0], documents, k=5).rows.shape == (64, 5)


def test_merged_parts_are_the_search_of_all(case: tuple) -> None:
    queries, documents = case
    parts = []
    for start, stop in ((3000, 4000), (0, 1), (1, 3000)):
        hits = brute_force(queries, documents[start:stop], 40)
        parts.append(Hits(hits.scores, hits.rows + np.int32(start)))
    expected = brute_force(queries, documents, 40)
    merged = merge(parts, k=40)
    np.testing.assert_array_equal(merged.rows, expected.rows)
    np.testing.assert_array_equal(merged.scores, expected.scores)


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["exact", "faiss-flat", "ivf"])
def test_backends_on_a_gpu(backend: str, case: tuple) -> None:
    faiss = pytest.importorskip("faiss")
    if backend != "exact" and not hasattr(faiss, "StandardGpuResources"):
        pytest.skip("this FAISS has no GPU support")
    queries, documents = case
    config = SearchConfig(backend=backend, probes=1000)
    hits = open_searcher(config, memory=10**9, device="cuda").search(queries, shards(documents), k=50)
    np.testing.assert_array_equal(hits.rows, brute_force(queries, documents, 50).rows)


def test_a_gpu_without_its_faiss_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from conan_data.mining.search import exact, faiss_flat

    monkeypatch.setattr(exact, "resolve_device", lambda device: device)
    monkeypatch.setattr(faiss_flat, "has_gpu", lambda faiss: False)
    with pytest.raises(UserError, match="pip install faiss-gpu"):
        open_searcher(SearchConfig(backend="faiss-flat"), memory=10**8, device="cuda")
