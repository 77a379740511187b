"""int8, the cache that runs share, and several processes that fill one store."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from conan_data.errors import UserError
from conan_data.mining.embeddings import Embeddings, encode_part, encode_to_shards
from conan_data.mining.hash_encoder import HashEncoder, PlantedError
from conan_data.mining.search.exact import ExactSearcher
from conan_data.mining.shards import Codes, quantise

TEXTS = [f"text {number} about {number % 7}" for number in range(23)]
IDS = [f"id{number}" for number in range(23)]


def encode(directory: Path, encoder: HashEncoder, texts: list[str] = TEXTS, **options) -> Embeddings:
    names = [f"id{number}" for number in range(len(texts))]
    return encode_to_shards(encoder, texts, names, directory, kind="document", shard_size=5, **options)


def part(directory: Path, encoder: HashEncoder, *, rank: int, world_size: int = 3, **options) -> None:
    encode_part(
        encoder,
        TEXTS,
        IDS,
        directory,
        kind="document",
        rank=rank,
        world_size=world_size,
        shard_size=5,
        **options,
    )


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_int8_is_within_half_a_step_and_reads_like_float16(tmp_path: Path) -> None:
    exact = HashEncoder().encode(TEXTS, kind="document")
    vectors = encode(tmp_path, HashEncoder(), storage="int8")
    assert vectors.gather(np.arange(23)).dtype == np.float16
    half_a_step = np.abs(exact).max(axis=1, keepdims=True) / 254
    read = vectors[0:23].astype(np.float64)
    assert np.all(np.abs(read - exact) <= half_a_step * 1.001 + 2**-11 * np.abs(exact))
    assert np.abs(read - exact).max() > 2**-11, "as precise as float16: the codes were not used"
    np.testing.assert_array_equal(np.concatenate([block for _, block in vectors.blocks(3)]), read)
    rows = np.array([[22, 0, 5], [5, 4, 22]])
    np.testing.assert_array_equal(vectors.gather(rows), read[rows])
    np.testing.assert_array_equal(vectors[3:17], read[3:17])
    plain = np.load(sorted(tmp_path.glob("shard-*"))[1], allow_pickle=False)
    np.testing.assert_array_equal(
        (plain["codes"] * plain["scale"][:, None]).astype(np.float16), read[5:10].astype(np.float16)
    )
    np.testing.assert_array_equal(Embeddings.from_array(exact, storage="int8")[0:23], read)


def test_exact_search_is_exact_over_int8_and_loses_little_recall() -> None:
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((50, 96))
    points = centres[rng.integers(0, 50, 2000)] + 0.7 * rng.standard_normal((2000, 96))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    queries = Embeddings.from_array(points[:100])[0:100]
    coded = Embeddings.from_array(points, storage="int8")
    hits = ExactSearcher(memory=10**8, device="cpu").search(queries, coded, k=10)
    scores = queries.astype(np.float64) @ coded[0:2000].astype(np.float64).T
    brute = np.lexsort((np.broadcast_to(np.arange(2000), scores.shape), -scores), axis=1)[:, :10]
    np.testing.assert_array_equal(hits.rows, brute)
    truth = np.argsort(-(queries.astype(np.float64) @ points.astype(np.float64).T), axis=1, kind="stable")[
        :, :10
    ]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(hits.rows, truth)])
    assert recall > 0.95


def test_another_storage_is_encoded_again(tmp_path: Path) -> None:
    encode(tmp_path, HashEncoder())
    again = HashEncoder()
    vectors = encode(tmp_path, again, storage="int8")
    assert len(again.calls) == 5 and isinstance(vectors._arrays[0], Codes)


def test_codes_of_no_rows() -> None:
    assert Codes(quantise(np.empty((0, 4), np.float32)))[0:0].shape == (0, 4)


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_a_second_directory_takes_everything_from_the_cache(tmp_path: Path, storage: str) -> None:
    encode(tmp_path / "one", HashEncoder(), storage=storage, cache=tmp_path / "cache")
    again = HashEncoder()
    encode(tmp_path / "two", again, storage=storage, cache=tmp_path / "cache")
    assert again.calls == [] and files(tmp_path / "one") == files(tmp_path / "two")
    moved = HashEncoder()
    encode(tmp_path / "three", moved, [*TEXTS[5:], *TEXTS[:5]], storage=storage, cache=tmp_path / "cache")
    assert len(moved.calls) == 2, (
        "TEXTS[5:20] are three shards that the cache has, though their numbers are others"
    )


def test_a_stale_or_damaged_cache_is_not_used(tmp_path: Path) -> None:
    expected = files_of(tmp_path / "plain", HashEncoder())
    cache = tmp_path / "cache"
    encode(tmp_path / "other", HashEncoder(salt="other weights"), cache=cache)
    right = HashEncoder()
    encode(tmp_path / "right", right, cache=cache)
    assert len(right.calls) == 5 and files(tmp_path / "right") == expected
    cached = sorted(cache.rglob("*.npy"))
    assert len(cached) == 10
    for path in cached:  # each holds the bytes of another, under its old name
        path.unlink()
        path.write_bytes(b"not a shard")
    again = HashEncoder()
    encode(tmp_path / "again", again, cache=cache)
    assert len(again.calls) == 5 and files(tmp_path / "again") == expected
    last = HashEncoder()
    encode(tmp_path / "last", last, cache=cache)
    assert last.calls == [], "the damaged files were not replaced"


def files_of(directory: Path, encoder: HashEncoder) -> dict[str, bytes]:
    encode(directory, encoder)
    return files(directory)


def _write(arguments: tuple[Path, Path]) -> None:
    directory, cache = arguments
    encode(directory, HashEncoder(), cache=cache)


def test_processes_write_one_cache_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(
            _write, [(tmp_path / f"run{number}", tmp_path / "cache") for number in range(6)], chunksize=1
        )
    expected = files_of(tmp_path / "plain", HashEncoder())
    assert all(files(tmp_path / f"run{number}") == expected for number in range(6))
    assert len(list((tmp_path / "cache").rglob("*.*"))) == 5, "something is left over"


def test_ranks_write_what_one_process_writes(tmp_path: Path) -> None:
    expected = files_of(tmp_path / "alone", HashEncoder())
    encoders = [HashEncoder() for _ in range(3)]
    for rank in (2, 0, 1):
        part(tmp_path / "many", encoders[rank], rank=rank)
    assert [len(encoder.calls) for encoder in encoders] == [2, 2, 1]
    with pytest.raises(UserError, match="no finished embeddings"):
        Embeddings.open(tmp_path / "many")
    last = HashEncoder()
    encode(tmp_path / "many", last)
    assert last.calls == [] and files(tmp_path / "many") == expected


def test_the_shards_of_a_killed_rank_are_made_by_the_next_run(tmp_path: Path) -> None:
    expected = files_of(tmp_path / "alone", HashEncoder())
    part(tmp_path / "many", HashEncoder(), rank=0)
    with pytest.raises(PlantedError):
        part(tmp_path / "many", HashEncoder(fail_on=[1]), rank=1)
    (tmp_path / "many" / "shard-000002-torn.npy.0123.tmp").write_bytes(b"half")
    # Two ranks now: what three began is theirs too.
    again = [HashEncoder(), HashEncoder()]
    for rank in (0, 1):
        part(tmp_path / "many", again[rank], rank=rank, world_size=2)
    assert [texts for encoder in again for _, texts in encoder.calls] == [TEXTS[10:15], TEXTS[20:]]
    last = HashEncoder()
    encode(tmp_path / "many", last)
    assert last.calls == [] and files(tmp_path / "many") == expected


def test_a_rank_of_other_weights_is_not_believed(tmp_path: Path) -> None:
    for rank in range(3):
        part(tmp_path / "many", HashEncoder(salt="" if rank else "other weights"), rank=rank)
    last = HashEncoder()
    encode(tmp_path / "many", last)
    assert [texts for _, texts in last.calls] == [TEXTS[0:5], TEXTS[15:20]]
    assert files(tmp_path / "many") == files_of(tmp_path / "alone", HashEncoder())


def test_a_corpus_that_grew_encodes_its_end_only(tmp_path: Path) -> None:
    encode(tmp_path, HashEncoder())
    grown = HashEncoder()
    encode(tmp_path, grown, [*TEXTS, "new", "newer", "newest"])
    assert [texts for _, texts in grown.calls] == [[*TEXTS[20:], "new", "newer"], ["newest"]]
    inserted = HashEncoder()
    encode(tmp_path, inserted, [*TEXTS[:7], "put in", *TEXTS[7:], "new", "newer", "newest"])
    assert len(inserted.calls) == 5, "all shards from the one that was put into on, and no other"
