"""The store of vectors: what survives a crash, what is encoded again, and that nothing stale is ever read."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from conan_data.errors import UserError
from conan_data.mining.embeddings import Embeddings, encode_to_shards
from conan_data.mining.hash_encoder import HashEncoder, PlantedError

TEXTS = [f"text {number} about {number % 7}" for number in range(23)]
IDS = [f"id{number}" for number in range(23)]


def encode(
    directory: Path, encoder: HashEncoder, texts: list[str] = TEXTS, *, shard_size: int = 5
) -> Embeddings:
    return encode_to_shards(
        encoder,
        pa.chunked_array([texts[:8], texts[8:]], pa.string()),
        iter(IDS),
        directory,
        kind="document",
        shard_size=shard_size,
    )


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_vectors_are_those_of_the_encoder_rounded_to_half_precision(tmp_path: Path) -> None:
    expected = HashEncoder().encode(TEXTS, kind="document").astype(np.float16)
    vectors = encode(tmp_path, HashEncoder())
    assert len(vectors) == 23 and vectors.dimension == 64
    np.testing.assert_array_equal(vectors[0:23], expected)
    np.testing.assert_array_equal(vectors[6:9], expected[6:9])
    np.testing.assert_array_equal(vectors[3:17], expected[3:17])
    rows = np.array([[22, 0, 5], [5, 4, 22]])
    np.testing.assert_array_equal(vectors.gather(rows), expected[rows])
    for size in (1, 2, 5, 100):
        blocks = list(vectors.blocks(size))
        assert [start for start, _ in blocks] == np.cumsum([0, *(len(block) for _, block in blocks)])[
            :-1
        ].tolist()
        assert max(len(block) for _, block in blocks) <= size
        np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), expected)


def test_a_crash_costs_one_shard_and_changes_no_byte(tmp_path: Path) -> None:
    encode(tmp_path / "whole", HashEncoder())
    failing = HashEncoder(fail_on=[3])
    with pytest.raises(PlantedError):
        encode(tmp_path / "resumed", failing)
    with pytest.raises(UserError, match="no finished embeddings"):
        Embeddings.open(tmp_path / "resumed")
    second = HashEncoder()
    encode(tmp_path / "resumed", second)
    assert [texts for _, texts in second.calls] == [TEXTS[15:20], TEXTS[20:]]
    assert files(tmp_path / "resumed") == files(tmp_path / "whole")


def test_a_second_crash_keeps_what_the_first_run_had(tmp_path: Path) -> None:
    encode(tmp_path, HashEncoder())
    damaged = sorted(tmp_path.glob("shard-000001*"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(PlantedError):
        encode(tmp_path, HashEncoder(fail_on=[0]))
    third = HashEncoder()
    encode(tmp_path, third)
    assert [texts for _, texts in third.calls] == [TEXTS[5:10]]


def test_nothing_is_encoded_twice_and_only_what_changed_is_encoded_again(tmp_path: Path) -> None:
    encode(tmp_path, HashEncoder())
    before = files(tmp_path)
    again = HashEncoder()
    encode(tmp_path, again)
    assert again.calls == [] and files(tmp_path) == before
    changed = [*TEXTS[:11], "something else", *TEXTS[12:]]
    third = HashEncoder()
    vectors = encode(tmp_path, third, changed)
    assert [texts for _, texts in third.calls] == [changed[10:15]]
    np.testing.assert_array_equal(
        vectors[0:23], HashEncoder().encode(changed, kind="document").astype(np.float16)
    )
    assert len(list(tmp_path.glob("shard-*"))) == 5


def test_another_encoder_another_kind_and_moved_texts_are_encoded_again(tmp_path: Path) -> None:
    encode(tmp_path, HashEncoder())
    other = HashEncoder(salt="other weights")
    vectors = encode(tmp_path, other)
    assert len(other.calls) == 5
    np.testing.assert_array_equal(
        vectors[0:23], HashEncoder(salt="other weights").encode(TEXTS, kind="document").astype(np.float16)
    )
    moved = HashEncoder(salt="other weights")
    encode(tmp_path, moved, [TEXTS[-1], *TEXTS[:-1]])
    assert len(moved.calls) == 5
    queries = HashEncoder(salt="other weights")
    encode_to_shards(queries, [TEXTS[-1], *TEXTS[:-1]], IDS, tmp_path, kind="query", shard_size=5)
    assert len(queries.calls) == 5


def test_a_stale_store_is_refused(tmp_path: Path) -> None:
    encode(tmp_path, HashEncoder())
    assert len(Embeddings.open(tmp_path, fingerprint=HashEncoder().fingerprint)) == 23
    with pytest.raises(UserError, match="encode again"):
        Embeddings.open(tmp_path, fingerprint=HashEncoder(salt="other weights").fingerprint)


@pytest.mark.parametrize("damage", ["header", "format", "shard", "missing"])
def test_damage_is_noticed_and_repaired(tmp_path: Path, damage: str) -> None:
    encode(tmp_path, HashEncoder())
    before = files(tmp_path)
    shard = sorted(tmp_path.glob("shard-*"))[2]
    header = json.loads((tmp_path / "shards.json").read_text())
    if damage == "header":
        (tmp_path / "shards.json").write_text('{"format": 1, "sha')
    elif damage == "format":
        (tmp_path / "shards.json").write_text(json.dumps({**header, "format": 99}))
    elif damage == "shard":
        shard.write_bytes(shard.read_bytes()[:-2] + b"\x01\x01")
    else:
        shard.unlink()
    if damage != "shard":
        with pytest.raises(UserError, match="again"):
            Embeddings.open(tmp_path)
    repair = HashEncoder()
    encode(tmp_path, repair)
    assert len(repair.calls) == (5 if damage in ("header", "format") else 1)
    assert files(tmp_path) == before


class Given:
    fingerprint = "given"
    dimension = 2

    def __init__(self, vectors: list[list[float]]) -> None:
        self._vectors = np.array(vectors, np.float32)

    def encode(self, texts: list[str], *, kind: str) -> np.ndarray:
        return self._vectors


@pytest.mark.parametrize("bad", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 0.0], [1.0, 0.2]])
def test_a_vector_that_is_not_of_length_1_is_named(tmp_path: Path, bad: list[float]) -> None:
    with pytest.raises(UserError, match="document 'b': its vector has length"):
        encode_to_shards(Given([[1, 0], bad]), ["x", "y"], ["a", "b"], tmp_path, kind="document")
    with pytest.raises(UserError, match="row 1"):
        Embeddings.from_array(np.array([[1, 0], bad], np.float32))


def test_a_missing_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="query 'b': has no text"):
        encode_to_shards(HashEncoder(), pa.array(["x", None]), pa.array(["a", "b"]), tmp_path, kind="query")


def test_no_texts(tmp_path: Path) -> None:
    vectors = encode_to_shards(HashEncoder(dimension=3), [], [], tmp_path, kind="query")
    assert (
        len(vectors) == 0
        and vectors[0:0].shape == (0, 3)
        and vectors.gather(np.zeros((0, 2), int)).shape == (0, 2, 3)
    )
    assert list(vectors.blocks(4)) == []
