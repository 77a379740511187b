import copy
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, LlamaForCausalLM, LlamaModel, PreTrainedTokenizerFast

from conan_data.errors import UserError
from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder

CONTRACT = EncodingContract(max_length=9, query_prompt="w1 w2 ", document_prompt="w3 ")
IDS = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@torch.no_grad()
def test_vectors_are_the_unit_mean_of_the_stock_states(llama: LlamaModel) -> None:
    llama.config.is_causal = False
    states = llama(input_ids=IDS, attention_mask=MASK).last_hidden_state
    means = torch.stack([states[0].mean(0), states[1, :3].mean(0)])
    vectors = Embedder(llama, CONTRACT, alpha=1.0)(IDS, MASK)
    torch.testing.assert_close(vectors, means / means.norm(dim=1, keepdim=True), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_a_checkpoint_saved_in_mid_schedule_comes_back_as_trained(
    llama: LlamaModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, dtype: torch.dtype
) -> None:
    llama.save_pretrained(tmp_path / "start")
    embedder = Embedder.from_language_model(tmp_path / "start", CONTRACT, alpha=0.37, dtype=dtype)
    embedder.save(tmp_path / "saved", tokenizer=tokenizer)
    again = Embedder.load(tmp_path / "saved")
    assert again.mask.alpha == 0.37 and again.contract == CONTRACT and not again.training
    assert torch.equal(again(IDS, MASK), embedder(IDS, MASK))
    again.mask.alpha = 1.0
    assert not torch.equal(again(IDS, MASK), embedder(IDS, MASK))
    assert Embedder.load(tmp_path / "saved", dtype=torch.float64)(IDS, MASK).dtype == torch.float64


def test_the_folder_is_a_plain_model_folder(llama: LlamaModel, tmp_path: Path) -> None:
    llama.config.is_causal = False
    Embedder(llama, CONTRACT, alpha=1.0).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "conan.json",
        "config.json",
        "model.safetensors",
    ]
    assert json.loads((tmp_path / "config.json").read_text())["is_causal"] is False
    stock = AutoModel.from_pretrained(tmp_path)
    assert type(stock) is LlamaModel and stock.config._attn_implementation == "sdpa"
    values = json.loads((tmp_path / "conan.json").read_text())
    assert values == {
        "format": "conan-checkpoint",
        "schema": 1,
        "alpha": 1.0,
        "pooling": "mean",
        "normalize": True,
        "prompts": {"query": "w1 w2 ", "document": "w3 "},
        "max_length": 9,
        "padding_side": "right",
        "eos": True,
    }


@torch.no_grad()
def test_starts_on_a_language_model(llama: LlamaModel, tmp_path: Path) -> None:
    model = LlamaForCausalLM(llama.config)
    model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"no conan\.json"):
        Embedder.load(tmp_path)
    embedder = Embedder.from_language_model(tmp_path, CONTRACT, alpha=0.0)
    assert torch.equal(
        embedder.backbone(input_ids=IDS).last_hidden_state, model.model(input_ids=IDS).last_hidden_state
    )


@torch.no_grad()
def test_a_copy_has_an_alpha_of_its_own(llama: LlamaModel) -> None:
    embedder = Embedder(llama, CONTRACT, alpha=0.0).train()
    before = embedder(IDS, MASK)
    twin = copy.deepcopy(embedder)
    assert twin.training and torch.equal(twin(IDS, MASK), before)
    twin.mask.alpha = 1.0
    assert torch.equal(embedder(IDS, MASK), before) and not torch.equal(twin(IDS, MASK), before)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("schema", 2, "schema is 2"),
        ("pooling", "cls", "pooling: must be mean or last, got 'cls'"),
        ("padding_side", "left", "padding_side"),
        ("alpha", 1.5, "alpha"),
        ("alpha", None, "alpha"),
        ("prompts", {"query": ""}, "'document' is missing"),
        ("max_length", 1, "max_length"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused(
    llama: LlamaModel, tmp_path: Path, field: str, value: object, message: str
) -> None:
    Embedder(llama, CONTRACT).save(tmp_path)
    path = tmp_path / "conan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(UserError, match=message):
        Embedder.load(tmp_path)


def test_a_folder_that_is_not_whole_is_refused(llama: LlamaModel, tmp_path: Path) -> None:
    Embedder(llama, CONTRACT).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(UserError, match="lacks 9 weights of the LlamaModel"):
        Embedder.load(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot be loaded"):
        Embedder.load(tmp_path)
    weights.unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        Embedder.load(tmp_path)
