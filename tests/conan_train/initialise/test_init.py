import copy
import json
import resource
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from conan_data.artifact import open_artifact
from conan_data.errors import UserError
from conan_train.initialise.config import InitConfig, ShapeConfig
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
    assert extra["memory_bytes"]["float32"]["weights"] == sum(
        parameter.nbytes for parameter in model.parameters()
    )
    half = copy.deepcopy(model).to(torch.bfloat16)
    optimizer = torch.optim.AdamW(half.parameters())
    half(torch.zeros(1, 2, dtype=torch.long)).logits.sum().backward()
    optimizer.step()
    moments = [
        optimizer.state[parameter][name].nbytes
        for parameter in half.parameters()
        for name in ("exp_avg", "exp_avg_sq")
    ]
    assert extra["memory_bytes"]["bf16"] == {
        "weights": sum(parameter.nbytes for parameter in half.parameters()),
        "gradients": sum(parameter.grad.nbytes for parameter in half.parameters()),
        "adamw": sum(moments),
    }


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


def test_the_weights_are_those_that_transformers_makes(made: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(made / "model")
    torch.manual_seed(0)
    stock = LlamaForCausalLM(model.config)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    for name, parameter in stock.named_parameters():
        assert torch.equal(model.get_parameter(name), parameter), name


def test_another_length(tokenizer_dir: Path, tmp_path: Path) -> None:
    out = init(
        InitConfig(out=tmp_path / "model", preset="nano", tokenizer=str(tokenizer_dir), max_position=96)
    )
    assert AutoModelForCausalLM.from_pretrained(out / "model").config.max_position_embeddings == 96
    assert AutoTokenizer.from_pretrained(out / "model").model_max_length == 96


def test_the_shape_can_be_changed(tokenizer_dir: Path, tmp_path: Path) -> None:
    shape = ShapeConfig(num_layers=3, hidden=64, num_heads=4, num_kv_heads=1, ffn=96)
    out = init(InitConfig(out=tmp_path / "model", preset="nano", tokenizer=str(tokenizer_dir), shape=shape))
    config = AutoModelForCausalLM.from_pretrained(out / "model").config
    assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (3, 64, 96)
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (4, 1, 16)
    with pytest.raises(UserError, match="multiple of the number of attention heads"):
        init(
            InitConfig(
                out=tmp_path / "odd",
                preset="nano",
                tokenizer=str(tokenizer_dir),
                shape=ShapeConfig(hidden=190),
            )
        )
    with pytest.raises(UserError, match="ffn: must not be negative"):
        ShapeConfig(ffn=-1)


def test_a_dry_run_prints_and_writes_nothing(
    tokenizer_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="conan_train")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert init(InitConfig(out=tmp_path / "x", preset="conan-1.4b", dry_run=True)) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes: no weights"
    for said in (
        "conan-1.4b: 1,499,205,120 parameters (537,600,000 in the embedding)",
        "float32: 23.99 GB (weights 6.00, gradients 6.00, adamw 11.99)",
        "bf16: 11.99 GB (weights 3.00, gradients 3.00, adamw 6.00)",
        "a trained token at length 512:",
        "a trained token at length 32,768:",
    ):
        assert said in caplog.text
    init(InitConfig(out=tmp_path / "x", preset="nano", tokenizer=str(tokenizer_dir), dry_run=True))
    assert "(53,760 in the embedding)" in caplog.text
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="tokenizer: name a tokenizer"):
        InitConfig(out=tmp_path / "x", preset="nano")


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
