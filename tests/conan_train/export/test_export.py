import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from sentence_transformers import SentenceTransformer

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.mining.encoder import load_encoder
from conan_train.export.config import ExportConfig
from conan_train.export.export import export
from conan_train.export.golden import TEXTS, golden_vectors
from conan_train.export.selftest import check_folder
from conan_train.model.embedder import Embedder
from conan_train.model.encoder import CheckpointEncoder, load_checkpoint

LONG = "how do I list the files of a folder " * 20


def run(model, out, **options):
    return export(ExportConfig(model=str(model), out=out, **options))


@pytest.fixture
def exported(make_embedder, tmp_path):
    return run(
        make_embedder(),
        tmp_path / "exported",
        name="tiny-embed",
        dims=(8, 16),
        languages=("en", "zh"),
        license="apache-2.0",
    )


def test_plain_sentence_transformers_gives_the_trainers_vectors(exported, tmp_path):
    model = SentenceTransformer(str(exported), device="cpu")
    trainer = load_checkpoint(tmp_path / "trained" / "model", device="cpu")
    texts = ["list files", "如何列出文件", LONG, "a"]
    for kind, encode in (("query", model.encode_query), ("document", model.encode_document)):
        np.testing.assert_allclose(encode(texts), trainer.encode(texts, kind=kind), atol=1e-5)
    assert np.abs(model.encode_query(texts) - model.encode_document(texts)).max() > 1e-2


def test_the_folder_is_plain(exported):
    config = json.loads((exported / "config.json").read_text())
    assert config["is_causal"] is False and "auto_map" not in config
    assert not list(exported.rglob("*.py")) and not list(exported.rglob("*.bin"))
    assert artifact.open_artifact(exported, kind="sentence-transformers").manifest["rows"] == {
        "read": len(TEXTS),
        "kept": len(TEXTS),
        "dropped": {},
    }


def test_vectors_differ_from_the_causal_model(exported, tmp_path):
    """The switch matters for this model: without it the vectors are others, so the comparison above can fail."""
    causal = tmp_path / "causal"
    shutil.copytree(exported, causal)
    edit(causal / "config.json", is_causal=True)
    texts = ["list files of a folder"]
    assert (
        np.abs(
            SentenceTransformer(str(causal), device="cpu").encode(texts)
            - SentenceTransformer(str(exported), device="cpu").encode(texts)
        ).max()
        > 1e-3
    )


def test_contract_holds_golden_embeddings(exported):
    contract = json.loads((exported / "conan.json").read_text(encoding="utf-8"))
    assert contract["dims"] == [16, 8] and contract["dimension"] == 32
    model = SentenceTransformer(str(exported), device="cpu")
    for entry in contract["golden"]:
        encode = model.encode_query if entry["kind"] == "query" else model.encode_document
        np.testing.assert_allclose(encode(entry["text"]), entry["vector"], atol=1e-5)
    assert len(contract["golden"]) == len(TEXTS)


def test_the_folder_is_still_a_checkpoint(exported, tmp_path):
    """Evaluation and mining read the exported folder as they read the one that was trained."""
    ours, trained = (
        load_encoder(folder, device="cpu") for folder in (exported, tmp_path / "trained" / "model")
    )
    assert ours.fingerprint == trained.fingerprint
    np.testing.assert_array_equal(
        ours.encode(["a text"], kind="query"), trained.encode(["a text"], kind="query")
    )


def test_card(exported):
    card = (exported / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---")[1])
    assert (
        front["library_name"] == "sentence-transformers"
        and front["language"] == ["en", "zh"]
        and front["license"] == "apache-2.0"
    )
    assert "# tiny-embed" in card and "`query: `" in card and "truncate_dim=8" in card


def test_half_open_mask_has_no_plain_form(make_embedder, tmp_path):
    with pytest.raises(UserError, match=r"alpha 0\.5 .* train it until the mask's schedule ends"):
        run(make_embedder(alpha=0.5), tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


def test_half_precision_weights_are_exported_as_they_are(make_embedder, tmp_path):
    out = run(make_embedder(dtype="bfloat16"), tmp_path / "out")
    assert Embedder.load(out).backbone.dtype == torch.bfloat16


def test_wrong_input(make_embedder, language_model, tmp_path):
    with pytest.raises(UserError, match="holds a language-model, not a embedder"):
        run(language_model, tmp_path / "out")
    with pytest.raises(UserError, match="dims: must be smaller than the model's 32 dimensions, got 32"):
        run(make_embedder(), tmp_path / "out", dims=(32, 8))


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def drop_eos(folder):
    edit(folder / "tokenizer.json", post_processor=None)


def left_truncation(folder):
    edit(folder / "tokenizer_config.json", truncation_side="left")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: edit(folder / "config.json", is_causal=True), "is causal"),
        (
            lambda folder: edit(
                folder / "config_sentence_transformers.json", prompts={"query": "", "document": ""}
            ),
            "other vectors than the trainer",
        ),
        (
            lambda folder: edit(
                folder / "1_Pooling" / "config.json",
                pooling_mode_mean_tokens=False,
                pooling_mode_lasttoken=True,
            ),
            "other vectors",
        ),
        (drop_eos, "cuts a long text to other tokens|other vectors"),
        (left_truncation, "cuts a long text to other tokens|other vectors"),
    ],
)
def test_the_self_test_finds_a_planted_error(exported, tmp_path, spoil, message):
    trained = Embedder.load(tmp_path / "trained" / "model")
    golden = golden_vectors(CheckpointEncoder(trained, load_checkpoint(exported, device="cpu").tokenizer))
    spoiled = tmp_path / "spoiled"
    shutil.copytree(exported, spoiled)
    check_folder(spoiled, golden)
    spoil(spoiled)
    with pytest.raises(UserError, match=message):
        check_folder(spoiled, golden)


def test_a_model_that_fails_is_not_published(make_embedder, tmp_path, monkeypatch):
    trained = make_embedder()
    monkeypatch.setattr(
        "conan_train.export.export.golden_vectors", lambda encoder: golden_vectors(encoder) + np.float32(1e-3)
    )
    with pytest.raises(UserError, match="not published"):
        run(trained, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()
