"""Everything that a vector depends on is in the key of its shard: change it, and the store is encoded again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from conan_data.mining.embeddings import encode_to_shards
from conan_data.mining.encoder import load_encoder
from conan_train.model.contract import read_contract
from conan_train.model.embedder import Embedder

TEXTS = ["list the files of a folder " * 4, "how do I list files", "a folder"]


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def nudge_weights(folder: Path, name: str) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors[name].view(-1)[3] += 0.5
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def drop_merges(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:3]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def encoded(folder: Path, store: Path, texts: list[str] = TEXTS, kind: str = "document", **options) -> int:
    """How many shards the store took from the encoder this time; none of it may be stale."""
    encoder = load_encoder(folder, device="cpu", **options)
    calls = []
    encode, fresh = encoder.encode, encoder.encode(texts, kind=kind).astype(np.float16)

    class Counting:
        fingerprint, dimension = encoder.fingerprint, encoder.dimension

        def encode(self, texts, *, kind):
            calls.append(kind)
            return encode(texts, kind=kind)

    vectors = encode_to_shards(
        Counting(), texts, ["a", "b", "c"], store, kind=kind, cache=store.parent / "cache"
    )
    np.testing.assert_array_equal(vectors[0:3], fresh)
    return len(calls)


CHECKPOINT_CHANGES = {
    "weights": lambda folder: nudge_weights(folder, "layers.1.mlp.up_proj.weight"),
    "tokenizer": drop_merges,
    "document prompt": lambda folder: edit_json(
        folder / "conan.json", prompts={"query": "query: ", "document": "text: "}
    ),
    "maximum length": lambda folder: edit_json(folder / "conan.json", max_length=9),
    "alpha": lambda folder: edit_json(folder / "conan.json", alpha=0.25),
    "architecture": lambda folder: edit_json(folder / "config.json", rms_norm_eps=0.3),
}


@pytest.mark.parametrize("change", CHECKPOINT_CHANGES)
def test_a_checkpoint(checkpoint: Path, tmp_path: Path, change: str) -> None:
    assert encoded(checkpoint, tmp_path / "store") == 1
    assert encoded(checkpoint, tmp_path / "store") == 0
    CHECKPOINT_CHANGES[change](checkpoint)
    assert encoded(checkpoint, tmp_path / "store") == 1


@pytest.mark.parametrize(
    "options",
    [{"texts": [*TEXTS[:2], "another"]}, {"kind": "query"}, {"max_length": 8}, {"dtype": "bfloat16"}],
    ids=["text", "kind", "max_length", "dtype"],
)
def test_how_a_checkpoint_is_used(checkpoint: Path, tmp_path: Path, options: dict) -> None:
    assert encoded(checkpoint, tmp_path / "store") == 1
    assert encoded(checkpoint, tmp_path / "store", **options) == 1
    assert encoded(checkpoint, tmp_path / "store", **options) == 0


def test_alpha_is_restored(embedder: Embedder, checkpoint: Path) -> None:
    assert read_contract(checkpoint)[1] == 0.5
    encoder = load_encoder(checkpoint, device="cpu")
    assert encoder.embedder.mask.alpha == 0.5
    trained = encoder.encode(TEXTS, kind="document")
    encoder.embedder.mask.alpha = 1.0
    ids = torch.arange(5, 25)[None]
    assert not torch.allclose(
        embedder(ids, torch.ones_like(ids)), encoder.embedder(ids, torch.ones_like(ids)), atol=1e-4
    ), "alpha has no effect on this model, so the test shows nothing"
    edit_json(checkpoint / "conan.json", alpha=1.0)
    assert not np.allclose(trained, load_encoder(checkpoint, device="cpu").encode(TEXTS, kind="document"))


@pytest.fixture
def st_folder(embedder: Embedder, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    from conan_train.export.folder import write_folder

    embedder.mask.alpha = 1.0
    write_folder(embedder, tokenizer, tmp_path / "st", work=tmp_path / "work")
    shutil.rmtree(tmp_path / "work")
    return tmp_path / "st"


ST_CHANGES = {
    "weights": lambda folder: nudge_weights(folder, "layers.1.mlp.up_proj.weight"),
    "tokenizer": drop_merges,
    "document prompt": lambda folder: edit_json(
        folder / "config_sentence_transformers.json", prompts={"query": "query: ", "document": "text: "}
    ),
    "pooling": lambda folder: edit_json(
        folder / "1_Pooling" / "config.json", pooling_mode_mean_tokens=False, pooling_mode_lasttoken=True
    ),
    "maximum length": lambda folder: edit_json(folder / "sentence_bert_config.json", max_seq_length=9),
    "causality": lambda folder: edit_json(folder / "config.json", is_causal=True),
}


@pytest.mark.parametrize("change", ST_CHANGES)
def test_a_sentence_transformers_model(st_folder: Path, tmp_path: Path, change: str) -> None:
    assert encoded(st_folder, tmp_path / "store") == 1
    assert encoded(st_folder, tmp_path / "store") == 0
    ST_CHANGES[change](st_folder)
    assert encoded(st_folder, tmp_path / "store") == 1


@pytest.mark.parametrize(
    "options",
    [
        {"texts": [*TEXTS[:2], "another"]},
        {"kind": "query"},
        {"max_length": 8},
        {"dtype": "bfloat16"},
        {"prompts": {"document": "other: "}},
    ],
    ids=["text", "kind", "max_length", "dtype", "prompt"],
)
def test_how_a_sentence_transformers_model_is_used(st_folder: Path, tmp_path: Path, options: dict) -> None:
    assert encoded(st_folder, tmp_path / "store") == 1
    assert encoded(st_folder, tmp_path / "store", **options) == 1
    assert encoded(st_folder, tmp_path / "store", **options) == 0
