"""Search against a brute force in float64, on sets whose ties and near ties make float32 products give other
ids.
"""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conan_data.errors import UserError
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.search import GROUP, int8, screening
from conan_data.mining.search.candidates import Candidates
from conan_data.mining.search.exact import ExactSearcher, error_bound
from conan_data.mining.search.hits import decode_keys, encode_keys
from conan_data.mining.search.plan import SPARE, plan
from conan_data.mining.search.rescore import pair_scores

DIMENSION = 48


def unit(rng: np.random.Generator, num: int, dimension: int = DIMENSION) -> np.ndarray:
    vectors = rng.standard_normal((num, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def brute_force(queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = np.array(
        [
            [np.float32(math.fsum(float(a) * float(b) for a, b in zip(q, d))) for d in documents]
            for q in queries
        ]
    )
    order = np.array([sorted(range(len(documents)), key=lambda row: (-s[row], row))[:k] for s in scores])
    return np.take_along_axis(scores, order, axis=1), order


def fast_brute_force(queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = (queries.astype(np.float64) @ documents.astype(np.float64).T).astype(np.float32)
    order = np.array([np.lexsort((np.arange(len(documents)), -row))[:k] for row in scores])
    return np.take_along_axis(scores, order, axis=1), order


def hard_documents(rng: np.random.Generator, queries: np.ndarray, num: int) -> np.ndarray:
    """Random documents, 200 equal to query 0, and 300 that differ from query 1 by at most a float16 step in
    its small components.
    """
    documents = unit(rng, num, queries.shape[1])
    documents[rng.choice(num, 200, replace=False)] = queries[0]
    near = np.tile(queries[1], (300, 1))
    for place in np.abs(queries[1]).argsort()[: len(queries[1]) // 2]:
        near[:, place] = np.nextafter(
            near[:, place], rng.choice([-1, 1, near[0, place]], 300).astype(np.float16)
        )
    documents[rng.choice(num, 300, replace=False)] = near
    return documents


def split(documents: np.ndarray, sizes: list[int]) -> Embeddings:
    return Embeddings(np.split(documents, np.cumsum(sizes)), dimension=documents.shape[1])


SCREENINGS = [
    "float32",
    pytest.param("int8", marks=pytest.mark.skipif(not int8.available(), reason="no fast 8-bit products")),
]


@pytest.mark.parametrize("screening", SCREENINGS)
@pytest.mark.parametrize("k", [1, 5, 40, 500])
def test_ids_order_and_scores_equal_brute_force_whatever_the_memory(k: int, screening: str) -> None:
    rng = np.random.default_rng(k)
    queries = unit(rng, 30)
    documents = hard_documents(rng, queries, 1500)
    scores, rows = fast_brute_force(queries, documents, k)
    small, slow_rows = brute_force(queries[:2], documents[:100], min(k, 100))
    np.testing.assert_array_equal(fast_brute_force(queries[:2], documents[:100], min(k, 100))[1], slow_rows)
    assert small.dtype == np.float32
    for memory in (1_600_000, 4_000_000, 50_000_000):
        for shards in ([], [1], [700, 3, 300]):
            hits = ExactSearcher(memory=memory, screening=screening).search(
                queries, split(documents, shards), k=k
            )
            np.testing.assert_array_equal(hits.rows, rows)
            np.testing.assert_array_equal(hits.scores.view(np.int32), scores.view(np.int32))


def test_a_small_search_does_not_load_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "available", lambda: True)
    searcher = ExactSearcher(memory=10**8)
    assert not searcher._screens_in_int8(num_products=200 * 600 * 384)
    assert searcher._screens_in_int8(num_products=16_384 * 200_000 * 384)


def test_a_float32_product_orders_the_hard_set_wrongly() -> None:
    """Shows that the set above is hard: without the exact scores, ids would come out in another order."""
    rng = np.random.default_rng(5)
    queries = unit(rng, 30)
    documents = hard_documents(rng, queries, 1500)
    naive = (-(queries.astype(np.float32) @ documents.astype(np.float32).T)).argsort(axis=1, kind="stable")[
        :, :40
    ]
    assert (naive != fast_brute_force(queries, documents, 40)[1]).any()


def test_queries_with_too_many_equal_scores_are_searched_in_float64(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    queries = unit(rng, 8)
    documents = hard_documents(rng, queries, 1500)
    with caplog.at_level("DEBUG", logger="conan_data"):
        ExactSearcher(memory=10**8).search(queries, split(documents, []), k=10)
    assert "1 of 8 queries" in caplog.text


def test_one_query_gets_what_it_gets_among_many() -> None:
    rng = np.random.default_rng(1)
    queries = unit(rng, 50)
    documents = split(hard_documents(rng, queries, 1000), [])
    searcher = ExactSearcher(memory=10**8)
    together = searcher.search(queries, documents, k=20)
    for row in (0, 1, 17):
        np.testing.assert_array_equal(
            searcher.search(queries[row : row + 1], documents, k=20).rows[0], together.rows[row]
        )


def test_a_coarser_product_of_the_machine_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    queries = unit(rng, 64, 256)
    documents = hard_documents(rng, queries, 1200)
    scores, rows = fast_brute_force(queries, documents, 25)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        hits = ExactSearcher(memory=10**8).search(queries, split(documents, []), k=25)
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(hits.rows, rows)
    np.testing.assert_array_equal(hits.scores, scores)


def test_a_screening_that_breaks_its_promise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    queries, documents = unit(rng, 20), unit(rng, 900)
    stream = ExactSearcher._stream

    def blind(self: ExactSearcher, *args: object, **options: object) -> tuple[torch.Tensor, ...]:
        scores, _, *rest = stream(self, *args, **options)
        return scores, torch.arange(scores.shape[1], dtype=torch.int32).expand(scores.shape), *rest

    monkeypatch.setattr(ExactSearcher, "_stream", blind)
    hits = ExactSearcher(memory=10**8, screening="float32").search(queries, split(documents, []), k=12)
    np.testing.assert_array_equal(hits.rows, fast_brute_force(queries, documents, 12)[1])


@pytest.mark.parametrize("num_documents", [0, 1, 4])
def test_fewer_documents_than_asked_for(num_documents: int) -> None:
    rng = np.random.default_rng(4)
    queries, documents = unit(rng, 3), unit(rng, num_documents)
    hits = ExactSearcher(memory=10**8).search(queries, split(documents, []), k=9)
    assert hits.rows.shape == (3, num_documents)
    if num_documents:
        np.testing.assert_array_equal(hits.rows, fast_brute_force(queries, documents, 9)[1])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20))
def test_keys_order_like_scores_then_rows(values: list[float]) -> None:
    scores = torch.tensor([*values, *values, 0.0, -0.0])
    rows = torch.arange(len(scores)).flip(0)
    order = encode_keys(scores, rows).sort(descending=True).indices.tolist()
    assert order == sorted(range(len(scores)), key=lambda place: (-scores[place].item(), rows[place].item()))
    decoded_scores, decoded_rows = decode_keys(encode_keys(scores, rows))
    assert torch.equal(decoded_scores, scores) and torch.equal(decoded_rows, rows.int())


def test_pair_scores_are_the_exact_dot_products_and_those_of_a_search() -> None:
    rng = np.random.default_rng(6)
    queries, documents = unit(rng, 7, 300), unit(rng, 90, 300)
    hits = ExactSearcher(memory=10**8).search(queries, split(documents, []), k=90)
    owners = np.repeat(np.arange(7), 90)
    scores = pair_scores(split(queries, [3]), split(documents, []), owners, hits.rows.ravel())
    np.testing.assert_array_equal(scores, hits.scores.ravel())
    exact = [
        np.float32(math.fsum((queries[q].astype(float) * documents[d].astype(float)).tolist()))
        for q, d in zip(owners, hits.rows.ravel())
    ]
    np.testing.assert_array_equal(scores, exact)


def test_float32_products_stay_within_the_bound_and_use_some_of_it() -> None:
    rng = np.random.default_rng(7)
    for dimension in (8, 256, 2048):
        queries, documents = unit(rng, 64, dimension), unit(rng, 64, dimension)
        documents[:32] = queries[:32]
        exact = queries.astype(np.float64) @ documents.astype(np.float64).T
        error = np.abs(
            (queries.astype(np.float32) @ documents.astype(np.float32).T).astype(np.float64) - exact
        ).max()
        assert 0 < error <= error_bound(dimension, "cpu")


@pytest.mark.parametrize("memory", [2_000_000, 20_000_000, 2_000_000_000])
@pytest.mark.parametrize("dimension", [32, 384, 1024])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_plan_stays_below_its_memory_or_says_what_it_needs(
    memory: int, dimension: int, device: str
) -> None:
    try:
        sizes = plan(memory, dimension=dimension, num_candidates=100 + SPARE, device=device)
    except UserError as error:
        assert "memory" in str(error)
        needed = int(str(error).split("at least ")[1].replace(",", ""))
        assert needed > memory
    else:
        assert sizes.bytes <= memory and min(sizes.batch, sizes.tile, sizes.block) >= 1


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_too_little_memory_asks_for_is_enough(device: str) -> None:
    with pytest.raises(UserError, match="give at least") as refused:
        plan(100_000, dimension=384, num_candidates=132, device=device)
    needed = int(str(refused.value).split("at least ")[1].replace(",", ""))
    assert plan(needed, dimension=384, num_candidates=132, device=device).bytes <= needed


needs_int8 = pytest.mark.skipif(not int8.available(), reason="no fast 8-bit products")


@needs_int8
def test_a_guess_that_is_far_too_high_leads_to_another_search(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    queries, documents = unit(rng, 40), unit(rng, 9000)
    expected = fast_brute_force(queries, documents, 12)[1]
    searcher = ExactSearcher(memory=10**8, screening="int8")
    monkeypatch.setattr(ExactSearcher, "_guess", lambda self, queries, *args, **rest: torch.full((40,), 0.95))
    np.testing.assert_array_equal(searcher.search(queries, split(documents, []), k=12).rows, expected)


@needs_int8
@pytest.mark.parametrize("outlier", [0.0, 3.0])
def test_a_product_of_rounded_vectors_is_within_its_bound(outlier: float) -> None:
    rng = np.random.default_rng(9)
    vectors = rng.standard_normal((300, 384)) + outlier * (np.arange(384) == 7)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    exact = vectors[:100].astype(np.float64) @ vectors[100:].astype(np.float64).T
    queries = int8.round_rows(torch.from_numpy(vectors[:100]).float())
    documents = int8.round_groups(torch.from_numpy(vectors[100:292]).float())
    products = torch._int_mm(queries.integers, documents.integers.T).double()
    scale = documents.scale.double().repeat_interleave(GROUP)
    rounded = products * queries.scale[:, None].double() * scale
    error = (rounded - torch.from_numpy(exact[:, :192])).abs()
    bound = int8.error_bounds(queries, documents).repeat_interleave(GROUP, dim=1)
    assert (error <= bound).all() and error.max() > 0.1 * bound.min()
    # Every document over the cutoff has a product that reaches the least one, and hardly others do.
    cutoff = torch.from_numpy(np.quantile(exact, 0.9, axis=1)).float()
    left, right = int8.least_factors(cutoff, queries, documents)
    least = (left @ right - 1).repeat_interleave(GROUP, dim=1)
    over = torch.from_numpy(exact[:, :192]) > cutoff[:, None]
    assert (products >= least)[over].all()
    assert ((rounded + bound > cutoff[:, None]) | (products < least + 2)).all()
    assert (products < least).any()


@pytest.mark.parametrize("keep", [3, 8])
def test_candidates_are_the_best_whatever_the_order_they_come_in(keep: int) -> None:
    """Few finds at first, and then more than a buffer takes."""
    rng = np.random.default_rng(keep)
    scores = rng.permutation(400).reshape(4, 100).astype(np.float32)
    found = Candidates(4, keep=keep)
    left = 0
    for step in range(100):
        width = min(1 + step % keep, 100 - left)
        queries, columns = np.divmod(np.arange(4 * width), width)
        chosen = torch.from_numpy(scores[queries, columns + left])
        over = chosen > found.cutoff_B[queries]
        found.add(
            slice(0, 4),
            torch.from_numpy(queries)[over],
            torch.from_numpy(columns + left)[over].int(),
            chosen[over],
        )
        if step == 1:
            found.compact(slice(0, 4))
        left += width
    found.compact(slice(0, 4))
    best = np.argsort(-scores, axis=1)[:, :keep]
    np.testing.assert_array_equal(np.sort(found.rows_BW[:, :keep].numpy()), np.sort(best))
    np.testing.assert_array_equal(found.cutoff_B.numpy(), np.sort(scores)[:, -keep])


@pytest.mark.parametrize(
    "scores", [[0.5, 0.5, 0.5, 0.9, 0.1, 0.2], [6, 5, 4, 3, 2, 1], [0.5] * 6, [1, 2, 3, 4, 5, 6]]
)
def test_a_full_buffer_keeps_its_best_and_no_more_of_equals_than_there_is_room(scores: list[float]) -> None:
    kernel = pytest.importorskip("conan_data.mining.search.kernel")
    kept, rows = np.array(scores, np.float32), np.arange(6, dtype=np.int32)
    worst = kernel._compact(kept, rows, 3)
    best = np.sort(np.array(scores, np.float32))[::-1][:3]
    assert worst == best[-1] and np.sort(kept[:3])[::-1].tolist() == best.tolist()
    assert (
        np.isneginf(kept[3:]).all() and np.array(scores, np.float32)[rows[:3]].tolist() == kept[:3].tolist()
    )


@needs_int8
@pytest.mark.parametrize("falls", [False, True])
def test_the_kernel_keeps_the_best_when_a_buffer_is_full_many_times_in_a_block(falls: bool) -> None:
    """Scores that rise along the block, so that nearly all are better than what is kept; or that fall."""
    rng = np.random.default_rng(10)
    query = unit(rng, 1, 64).astype(np.float32)
    away = unit(rng, 320, 64).astype(np.float32)
    documents = query * np.linspace(0.2, 0.9, 320)[:, None] + 0.3 * away
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    documents = torch.from_numpy(documents.astype(np.float16)).float()
    documents = documents.flip(0) if falls else documents
    scores = documents.double().numpy() @ query[0].astype(np.float64)
    for guess in (-1.0, float(np.sort(scores)[-100])):
        found = Candidates(1, keep=7, cutoff_B=torch.full((1,), guess))
        block = screening.Block(documents, torch.arange(320, dtype=torch.int32), int8.round_groups(documents))
        queries = torch.from_numpy(query)
        screening.screen_block(found, slice(0, 1), queries, int8.round_rows(queries), block)
        assert guess < found.cutoff_B.item() < np.sort(scores)[-7]
        found.compact(slice(0, 1))
        assert set(found.rows_BW[0, :7].tolist()) == set(np.argsort(scores)[-7:].tolist())
        assert found.exact_B.all()
        np.testing.assert_array_equal(
            np.sort(found.scores_BW[0, :7].numpy()), np.sort(scores)[-7:].astype(np.float32)
        )


_PEAK = """
import resource, sys
import numpy as np, torch
torch.set_num_threads(1)
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.search.exact import ExactSearcher
rng = np.random.default_rng(0)
vectors = rng.standard_normal((24000, 64)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
documents, queries = Embeddings.from_array(vectors), vectors[:6000].astype(np.float16)
ExactSearcher(memory=8_000_000).search(queries[:50], documents, k=10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ExactSearcher(memory=int(sys.argv[1])).search(queries, documents, k=50)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_the_process_grows_by_no_more_than_the_memory() -> None:
    """All scores at once would take 576 MB. Added to the bound: the result (2.4 MB), and what the allocator
    holds back.
    """
    memory = 24_000_000
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(memory)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) <= memory + 12_000_000
