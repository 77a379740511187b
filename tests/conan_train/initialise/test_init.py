import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from conan_data.artifact import open_artifact
from conan_data.errors import UserError
from conan_train.initialise.config import InitConfig
from conan_train.initialise.init import init
from conan_train.tokenizer.config import TokenizerConfig
from conan_train.tokenizer.train import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tokenizer")
    (root / "documents.jsonl").write_text(
        "\n".join(json.dumps({"text": f"text number {number} of many texts"}) for number in range(50))
    )
    return train_tokenizer(
        TokenizerConfig(out=root / "tokenizer", corpus=(str(root / "documents.jsonl"),), vocab_size=280)
    )


@pytest.fixture(scope="module")
def made(tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return init(
        InitConfig(out=tmp_path_factory.mktemp("init") / "model", preset="nano", tokenizer=str(tokenizer_dir))
    )


def test_a_stock_model_with_its_tokenizer(made: Path, tokenizer_dir: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(made / "model", local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(made / "model", local_files_only=True)
    assert type(model) is LlamaForCausalLM
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.config.vocab_size == len(tokenizer)
    assert (model.config.pad_token_id, model.config.eos_token_id, model.config.bos_token_id) == (
        tokenizer.pad_token_id, tokenizer.eos_token_id, None
    )  # fmt: skip
    assert tokenizer.model_max_length == model.config.max_position_embeddings
    text = "text number 7 of नए texts"
    assert tokenizer(text)["input_ids"] == AutoTokenizer.from_pretrained(tokenizer_dir)(text)["input_ids"]


def test_the_costs_are_those_of_the_model(made: Path) -> None:
    extra = open_artifact(made, kind="language-model").manifest["extra"]
    model = AutoModelForCausalLM.from_pretrained(made / "model")
    assert extra["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert extra["embedding_parameters"] == model.get_input_embeddings().weight.numel()
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, 2, dtype=torch.long)).logits.sum().backward()
    optimizer.step()
    kept = [
        tensor
        for parameter in model.parameters()
        for tensor in (parameter, parameter.grad, *optimizer.state[parameter].values())
    ]
    assert extra["training_bytes"] == pytest.approx(sum(tensor.nbytes for tensor in kept), rel=1e-3)


def test_the_seed_decides_and_nothing_else(made: Path, tokenizer_dir: Path, tmp_path: Path) -> None:
    torch.manual_seed(42)
    before = torch.get_rng_state()
    for name, seed in (("same", 0), ("other", 1)):
        init(InitConfig(out=tmp_path / name, preset="nano", tokenizer=str(tokenizer_dir), seed=seed))
    assert torch.equal(torch.get_rng_state(), before)
    first, same, other = (
        (path / "model" / "model.safetensors").read_bytes()
        for path in (made, tmp_path / "same", tmp_path / "other")
    )
    assert first == same != other


def test_another_length(tokenizer_dir: Path, tmp_path: Path) -> None:
    out = init(
        InitConfig(out=tmp_path / "model", preset="nano", tokenizer=str(tokenizer_dir), max_position=96)
    )
    assert AutoModelForCausalLM.from_pretrained(out / "model").config.max_position_embeddings == 96
    assert AutoTokenizer.from_pretrained(out / "model").model_max_length == 96


def test_wrong_inputs(made: Path, tokenizer_dir: Path, tmp_path: Path) -> None:
    for fields, message in (
        ({"preset": "nanoo", "tokenizer": str(tokenizer_dir)}, "did you mean 'nano'"),
        ({"preset": "nano", "tokenizer": str(tmp_path / "absent")}, "no such file"),
        ({"preset": "nano", "tokenizer": str(made)}, "holds a language-model, not a tokenizer"),
        ({"preset": "nano", "tokenizer": str(tokenizer_dir), "max_position": 1}, "max_position"),
    ):
        with pytest.raises(UserError, match=message):
            init(InitConfig(out=tmp_path / "model", **fields))
    assert not list(tmp_path.iterdir())
