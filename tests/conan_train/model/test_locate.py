import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoModel, LlamaModel, PreTrainedTokenizerFast

from conan_data import artifact, hub
from conan_data.config import StageConfig
from conan_data.errors import UserError
from conan_data.hub import HubName
from conan_data.mining.encoder import load_encoder
from conan_data.models.locate import find_model, hub_model, model_input
from conan_train.model.tokenization import load_tokenizer
from tests.conan_data.hub_server import HubServer
from tests.conan_train.model.tiny_models import write_bert


def publish(out: Path, kind: str) -> Path:
    with artifact.building(StageConfig(out=out), kind=kind, command="test", inputs=[]) as build:
        (build.dir / "model").mkdir()
        (build.dir / "model" / "config.json").write_text("{}")
        return build.publish(rows=artifact.Rows(0, 0))


def test_artifacts_and_folders(tmp_path: Path) -> None:
    for kind in ("language-model", "embedder"):
        assert find_model(publish(tmp_path / kind, kind)).folder == tmp_path / kind / "model"
    assert find_model(str(tmp_path / "embedder" / "model")).folder == tmp_path / "embedder" / "model"
    with pytest.raises(UserError, match="holds a corpus, not a model"):
        find_model(publish(tmp_path / "corpus", "corpus"))
    (tmp_path / "embedder" / "model" / "config.json").write_text("{ }")
    with pytest.raises(UserError, match="has changed"):
        find_model(tmp_path / "embedder")


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert hub_model("intfloat/multilingual-e5-small") == HubName(
        "intfloat/multilingual-e5-small", repo_type="model"
    )
    assert hub_model("owner/name@v1.0") == HubName("owner/name", "v1.0", repo_type="model")
    os.makedirs("runs/empty")
    os.makedirs("runs/begun.partial")
    Path("file").write_text("")
    for name, message in (
        ("runs/absent", "no such directory"),
        ("runs/begun", "begun.partial is unfinished"),
        ("runs/empty", "no config.json"),
        ("file", "is a file"),
        ("bert", "not a name on the Hub"),
        ("/absent/model", "no such directory"),
        ("../x/y", "no such directory"),
    ):
        with pytest.raises(UserError, match=message):
            find_model(name)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with HubServer() as started:
        monkeypatch.setattr(hub, "HUB", hub.Hub(endpoint=started.endpoint, cache_dir=tmp_path / "cache"))
        yield started
    hub._download.cache_clear()


@pytest.fixture
def files(llama: LlamaModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> dict[str, bytes]:
    llama.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    return {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()}


def test_a_model_on_the_hub(server: HubServer, files: dict[str, bytes], llama: LlamaModel) -> None:
    copies = {
        "pytorch_model.bin": b"x",
        "onnx/model.json": b"x",
        "consolidated.safetensors": b"x",
        "a.gguf": b"x",
    }
    commit = server.publish("owner/name", {**files, **copies}, branch="v1")
    pinned = model_input("owner/name@v1")
    assert pinned == f"hf://models/owner/name@{commit}"
    assert artifact.describe_input(pinned) == {
        "path": pinned, "repository": "owner/name", "revision": commit
    }  # fmt: skip
    folder = find_model(pinned).folder
    assert not set(server.fetched) & set(copies)
    assert artifact.describe_input(folder) == artifact.describe_input(pinned)
    assert artifact.describe_input(folder / "config.json")["path"] == f"{pinned}/config.json"
    loaded = AutoModel.from_pretrained(folder, local_files_only=True)
    assert loaded.state_dict()["norm.weight"].equal(llama.state_dict()["norm.weight"])
    assert load_tokenizer(folder).eos_token == "<eos>"
    hub._download.cache_clear()
    server.publish("owner/name", {**files, "config.json": b"{}"}, branch="v1")
    assert find_model(pinned).folder == folder != find_model("owner/name@v1").folder
    server.stop()
    hub._download.cache_clear()
    assert find_model(pinned).folder == folder


def test_what_the_hub_cannot_give(server: HubServer, files: dict[str, bytes]) -> None:
    server.publish("o/old", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    server.publish("o/other", {"model.safetensors": b"x"})
    for name, message in {
        "o/absent": "o/absent: no such model on the Hub",
        "o/old@v2": "o/old@v2: the model has no such revision",
        "o/old": r"hf://models/o/old@\w{40}: has no weights as safetensors",
        "o/other": "has no config.json",
    }.items():
        with pytest.raises(UserError, match=message):
            find_model(name)


def test_the_modules_of_a_sentence_transformer_on_the_hub(server: HubServer, tmp_path: Path) -> None:
    """What its modules need is downloaded, in safetensors alone; nothing is where only pickles are."""
    folder = write_bert(tmp_path / "bert", prompts={"query": "the "})
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    copies = {"pytorch_model.bin": b"x", "onnx/model.onnx": b"x", "2_Dense/pytorch_model.bin": b"x"}
    server.publish("owner/bert", {**files, **copies})
    encoder = load_encoder("owner/bert", device="cpu")
    assert "2_Dense/model.safetensors" in server.fetched and not set(server.fetched) & set(copies)
    expected = load_encoder(folder, device="cpu")
    assert (encoder.encode(["cat"], kind="query") == expected.encode(["cat"], kind="query")).all()
    without = {name: content for name, content in files.items() if name != "2_Dense/model.safetensors"}
    server.publish("owner/pickled", {**without, "2_Dense/pytorch_model.bin": b"x"})
    with pytest.raises(UserError, match="cannot be loaded as a sentence-transformers model"):
        load_encoder("owner/pickled", device="cpu")
    assert "2_Dense/pytorch_model.bin" not in server.fetched
