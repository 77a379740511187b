"""Models that are not what was saved: every fault is refused by one line, wherever the model is opened."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from conan_data.errors import UserError
from conan_data.judging.config import JudgeConfig
from conan_data.judging.judge import open_judge
from conan_data.mining.encoder import load_encoder
from conan_data.models.locate import find_model
from conan_train.embedding.base import open_base
from conan_train.pretrain.config import PretrainConfig
from conan_train.weak.config import WeakConfig
from tests.conan_train.model.tiny_models import (
    write_bert,
    write_cross_encoder,
    write_decoder,
    write_embedder,
)

Fault = Callable[[Path], None]
WEIGHTS = "model.safetensors"


def change(change_tensors: Callable[[dict[str, torch.Tensor]], object], file: str = WEIGHTS) -> Fault:
    def fault(folder: Path) -> None:
        tensors = load_file(folder / file)
        change_tensors(tensors)
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, folder / file, {"format": "pt"}
        )

    return fault


def drop(part: str) -> Fault:
    def drop_from(tensors: dict[str, torch.Tensor]) -> None:
        found = [name for name in tensors if part in name]
        assert found
        for name in found:
            del tensors[name]

    return change(drop_from)


def spoil(value: float, *, part: str, file: str = WEIGHTS) -> Fault:
    def spoil_in(tensors: dict[str, torch.Tensor]) -> None:
        tensors[next(name for name in sorted(tensors) if part in name)].view(-1)[-1] = value

    return change(spoil_in, file)


def cut_rows(tensors: dict[str, torch.Tensor]) -> None:
    name = next(name for name in tensors if "word_embeddings" in name or "embed_tokens" in name)
    tensors[name] = tensors[name][:-9]


def rename(tensors: dict[str, torch.Tensor]) -> None:
    for name in list(tensors):
        tensors[f"module.{name}"] = tensors.pop(name)


def settings(file: str, **values: object) -> Fault:
    def fault(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return fault


def truncate(size: float, file: str = WEIGHTS) -> Fault:
    def fault(folder: Path) -> None:
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: int(size * len(content))])

    return fault


def pickled(file: str = WEIGHTS, name: str = "pytorch_model.bin") -> Fault:
    def fault(folder: Path) -> None:
        path = folder / file
        torch.save(load_file(path), path.with_name(name))
        path.unlink()

    return fault


def text(content: str, file: str) -> Fault:
    return lambda folder: (folder / file).write_text(content) and None  # type: ignore[func-returns-value]


def without_a_shard(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, members in shards.items():
        save_file({name: tensors[name] for name in members}, folder / shard, {"format": "pt"})
    index = {
        "metadata": {},
        "weight_map": {name: shard for shard, members in shards.items() for name in members},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-00002-of-00002.safetensors").unlink()


def rare_token(folder: Path) -> None:
    """A token beyond the embedding, which no text of a short trial holds."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    added = {**tokenizer["added_tokens"][-1], "id": 5000, "content": "<rare>"}
    path.write_text(json.dumps({**tokenizer, "added_tokens": [*tokenizer["added_tokens"], added]}))


SHARED: dict[str, tuple[Fault, str]] = {
    "half of a file": (truncate(0.5), "truncated or damaged|cannot be loaded"),
    "the last bytes of a file": (truncate(0.999), "truncated or damaged|cannot be loaded"),
    "an empty file": (truncate(0), "truncated or damaged|cannot be loaded"),
    "a pointer of Git LFS": (
        text("version https://git-lfs.github.com/spec/v1\noid x\n", WEIGHTS),
        "git lfs pull",
    ),
    "a pickle": (pickled(), "only weights in safetensors are read; .* convert it once: python -c"),
    "a missing shard": (without_a_shard, "model-00002-of-00002.safetensors: missing"),
    "a row too few": (change(cut_rows), "another shape|cannot be loaded"),
    "names of a wrapper": (change(rename), "lacks .* weights"),
    "a config that is no JSON": (text("{", "config.json"), "config.json|cannot be loaded"),
    "a config that is a list": (text("[]", "config.json"), "config.json|cannot be loaded"),
    "a config of an unknown family": (settings("config.json", model_type="gpt-17"), "gpt-17"),
    "a tokenizer that is no tokenizer": (text("{}", "tokenizer.json"), "cannot be loaded as"),
    "a token beyond the embedding": (rare_token, "token ids up to .*, the model's embedding .* rows"),
}
BERT: dict[str, tuple[Fault, str]] = {
    **SHARED,
    "a missing layer": (drop("layer.1."), "lacks 16 weights of the BertModel"),
    "one missing weight": (drop("layer.2.output.LayerNorm.bias"), "lacks 1 weights"),
    "a config with a layer more": (settings("config.json", num_hidden_layers=4), "lacks 16 weights"),
    "a config with a layer less": (settings("config.json", num_hidden_layers=2), "16 weights of layers that its config.json does not"),
    "NaN": (spoil(math.nan, part="layer.1"), "holds NaN"),
    "infinity": (spoil(math.inf, part="layer.1"), "holds NaN"),
    "NaN in the projection": (spoil(math.nan, part="weight", file="2_Dense/model.safetensors"), "holds NaN"),
    "a pickled projection": (pickled("2_Dense/model.safetensors"), "2_Dense/pytorch_model.bin: only weights"),
    "half of a projection": (truncate(0.5, "2_Dense/model.safetensors"), "2_Dense/model.safetensors: truncated"),
    "a projection without weights": (lambda folder: (folder / "2_Dense/model.safetensors").unlink(), "cannot be loaded as"),
    "modules that are no list": (text("{}", "modules.json"), "must be a list of modules"),
    "a module outside": (text('[{"idx": 0, "name": "0", "path": "../..", "type": "x"}]', "modules.json"), "outside of the model"),
    "prompts that are no texts": (settings("config_sentence_transformers.json", prompts={"query": 3}), "prompts"),
}  # fmt: skip
DECODER: dict[str, tuple[Fault, str]] = {
    **SHARED,
    "a missing layer": (drop("layers.1."), r"lacks \d+ weights"),
    "a missing embedding": (drop("embed_tokens"), r"lacks \d weights"),
    "a config with a layer more": (settings("config.json", num_hidden_layers=4, layer_types=["full_attention"] * 4), r"lacks \d+ weights"),
    "a config with a layer less": (settings("config.json", num_hidden_layers=2, layer_types=["full_attention"] * 2), "weights of layers that its config.json does not"),
    "NaN": (spoil(math.nan, part="layers.1."), "holds NaN"),
    "infinity": (spoil(-math.inf, part="layers.1."), "holds NaN"),
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        "bert": write_bert(root / "bert"),
        "llama": write_decoder(root / "llama", family="llama"),
        "qwen3": write_decoder(root / "qwen3", family="qwen3"),
        "llama-embedder": write_embedder(root / "llama-embedder", family="llama"),
        "qwen3-embedder": write_embedder(root / "qwen3-embedder", family="qwen3"),
        "cross": write_cross_encoder(root / "cross"),
    }


def refused(message: str, opening: Callable[[], object], *, places: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=message) as caught:
        opening()
    line = str(caught.value)
    assert "\n" not in line and len(line) < 700
    assert any(place in line for place in places), line


@pytest.mark.parametrize("name", BERT)
def test_a_sentence_transformer_with_a_fault(models: dict[str, Path], tmp_path: Path, name: str) -> None:
    fault, message = BERT[name]
    folder = Path(shutil.copytree(models["bert"], tmp_path / "planted"))
    assert load_encoder(folder, device="cpu").encode(["the"], kind="query").shape == (1, 16)
    fault(folder)
    refused(message, lambda: load_encoder(folder, device="cpu"), places=("planted",))


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize("name", DECODER)
def test_a_checkpoint_with_a_fault(models: dict[str, Path], tmp_path: Path, name: str, family: str) -> None:
    fault, message = DECODER[name]
    folder = Path(shutil.copytree(models[f"{family}-embedder"] / "model", tmp_path / "planted"))
    load_encoder(folder, device="cpu")
    fault(folder)
    refused(message, lambda: load_encoder(folder, device="cpu"), places=("planted",))


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize("name", DECODER)
def test_a_base_with_a_fault(models: dict[str, Path], tmp_path: Path, name: str, family: str) -> None:
    from conan_train.model.tokenization import load_tokenizer
    from conan_train.pretrain.model import load_language_model

    fault, message = DECODER[name]
    folder = Path(shutil.copytree(models[family], tmp_path / "planted"))
    weak = WeakConfig(out=tmp_path / "out", data=("pairs.jsonl",), model=str(folder), steps=1, device="cpu")
    pretrain = PretrainConfig(
        out=tmp_path / "out", corpus=("sample",), model=str(folder), sequence_length=64, batch_tokens=64, micro_batch_tokens=64, steps=1, device="cpu",
    )  # fmt: skip

    def language_model() -> object:
        found = find_model(pretrain.model).folder
        return load_language_model(found, pretrain, tokenizer=load_tokenizer(found))

    open_base(weak)
    language_model()
    fault(folder)
    refused(message, lambda: open_base(weak), places=("planted",))
    refused(message, language_model, places=("planted",))


@pytest.mark.parametrize(
    "name", [*SHARED, "a missing layer", "a config with a layer more", "a config with a layer less", "NaN"]
)
def test_a_cross_encoder_with_a_fault(models: dict[str, Path], tmp_path: Path, name: str) -> None:
    fault, message = BERT[name]
    folder = Path(shutil.copytree(models["cross"], tmp_path / "planted"))
    config = JudgeConfig(kind="cross-encoder", model=str(folder))
    open_judge(config, tmp_path / "j", device="cpu")
    fault(folder)
    message = message.replace("BertModel", "BertForSequenceClassification")
    refused(message, lambda: open_judge(config, tmp_path / "j", device="cpu"), places=("planted",))


def test_the_pooler_of_an_encoder_may_be_missing_but_not_of_a_cross_encoder(
    models: dict[str, Path], tmp_path: Path
) -> None:
    """Its output is read by nobody where hidden states are pooled; a cross-encoder scores by it."""
    folder = Path(shutil.copytree(models["bert"], tmp_path / "planted"))
    expected = load_encoder(folder, device="cpu").encode(["the cat"], kind="query")
    drop("pooler.")(folder)
    assert (load_encoder(folder, device="cpu").encode(["the cat"], kind="query") == expected).all()
    cross = Path(shutil.copytree(models["cross"], tmp_path / "cross"))
    drop("pooler.")(cross)
    with pytest.raises(UserError, match=r"lacks 2 weights .* 'bert.pooler.dense.bias'"):
        open_judge(JudgeConfig(kind="cross-encoder", model=str(cross)), tmp_path / "j", device="cpu")


def test_tied_and_additional_weights_are_no_faults(models: dict[str, Path], tmp_path: Path) -> None:
    """The file of a tied model holds one of two matrices; position ids were saved by older versions; a head or an
    optimizer beside the weights are nobody's business.
    """
    assert "lm_head.weight" not in load_file(models["qwen3"] / WEIGHTS)
    folder = Path(shutil.copytree(models["bert"], tmp_path / "planted"))
    expected = load_encoder(folder, device="cpu").encode(["the cat"], kind="query")

    def add(tensors: dict[str, torch.Tensor]) -> None:
        tensors["embeddings.position_ids"] = torch.arange(512)[None]
        tensors["cls.predictions.bias"] = torch.zeros(59)

    change(add)(folder)
    torch.save({}, folder / "training_args.bin")
    torch.save({}, folder / "pytorch_model.bin")
    assert (load_encoder(folder, device="cpu").encode(["the cat"], kind="query") == expected).all()


def test_an_adapter_is_not_a_model(models: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models["llama"], tmp_path / "planted"))
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x/y"})
    )
    torch.save({}, folder / "adapter_model.bin")
    weak = WeakConfig(out=tmp_path / "out", data=("pairs.jsonl",), model=str(folder), steps=1, device="cpu")
    refused("adapter_model.bin: only weights in safetensors", lambda: open_base(weak), places=("planted",))
    (folder / "adapter_model.bin").unlink()
    refused("is an adapter .* merge it", lambda: open_base(weak), places=("planted",))


@pytest.mark.parametrize("place", ["", "model"])
@pytest.mark.parametrize("file", ["model/model.safetensors", "model/conan.json", "model/tokenizer.json"])
def test_an_artifact_that_was_changed(models: dict[str, Path], tmp_path: Path, place: str, file: str) -> None:
    """Named itself or by the folder inside of it, also through a link."""
    out = Path(shutil.copytree(models["llama-embedder"], tmp_path / "planted"))
    assert load_encoder(out / place, device="cpu").dimension == 32
    content = bytearray((out / file).read_bytes())
    content[-3 if file.endswith("safetensors") else -1] ^= 1
    (out / file).write_bytes(bytes(content))
    (tmp_path / "link").symlink_to(out / place)
    for name in (out / place, tmp_path / "link"):
        refused(
            f"{file} has changed",
            lambda name=name: load_encoder(name, device="cpu"),
            places=("planted", "link"),
        )


def test_a_folder_beside_a_manifest_of_something_else(models: dict[str, Path], tmp_path: Path) -> None:
    """A web page's manifest.json above a model, or an artifact that does not list it, says nothing of it."""
    folder = Path(shutil.copytree(models["bert"], tmp_path / "site" / "model"))
    (tmp_path / "site" / "manifest.json").write_text('{"name": "a page", "icons": []}')
    load_encoder(folder, device="cpu")


def test_an_adapter_of_a_sentence_transformer_and_its_base_are_checked(
    models: dict[str, Path], tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    base = Path(shutil.copytree(models["bert"], tmp_path / "base"))
    plain = SentenceTransformer(str(base), device="cpu")
    settings = peft.LoraConfig(r=2, target_modules=["query", "value"], init_lora_weights=False)
    plain[0].auto_model.add_adapter(settings, "default")
    folder = tmp_path / "planted"
    plain.save_pretrained(str(folder), create_model_card=False)
    encoder = load_encoder(folder, device="cpu")
    expected = SentenceTransformer(str(folder), device="cpu").encode(["the cat"])
    assert abs(encoder.encode(["the cat"], kind="query") - expected).max() < 1e-6
    spoil(0.5, part="layer.1")(base)
    assert load_encoder(folder, device="cpu").fingerprint != encoder.fingerprint
    adapter = "adapter_model.safetensors"
    tensors = load_file(folder / adapter)
    change(lambda tensors: tensors.pop(min(tensors)), adapter)(folder)
    refused("lacks 1 weights of its adapter", lambda: load_encoder(folder, device="cpu"), places=("planted",))
    save_file(tensors, folder / adapter)
    drop("layer.1.")(base)
    refused(
        "lacks 16 weights of the BertModel", lambda: load_encoder(folder, device="cpu"), places=("planted",)
    )
    pickled()(base)
    refused("only weights in safetensors", lambda: load_encoder(folder, device="cpu"), places=("base",))
    shutil.rmtree(base)
    (folder / adapter).rename(folder / "x")
    torch.save({}, folder / "adapter_model.bin")
    refused("adapter_model.bin: only weights in safetensors", lambda: find_model(folder), places=("planted",))
