import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaForCausalLM, LlamaModel

from conan_data.errors import UserError
from conan_train.model.presets import PRESETS, flops_per_token, llama_config, num_bytes, num_parameters


@pytest.mark.parametrize("name", PRESETS)
def test_formulas_equal_the_model(name: str) -> None:
    config = llama_config(name, pad_token_id=0, eos_token_id=2, bos_token_id=1)
    config._attn_implementation = "eager"  # as matrix products, which the counter sees on the meta device
    with torch.device("meta"):
        model = LlamaModel(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == num_parameters(config)
    assert num_parameters(config) - model.embed_tokens.weight.numel() == num_parameters(
        config, embedding=False
    )
    assert sum(parameter.nbytes for parameter in model.parameters()) == num_bytes(config)
    length = 64
    ids = torch.zeros(2, length, dtype=torch.long, device="meta")
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    assert counter.get_total_flops() == 2 * length * flops_per_token(config, length=length)


def test_formulas_of_the_language_model() -> None:
    config = llama_config("nano", vocab_size=333, num_hidden_layers=3)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == num_parameters(config)
    ids = torch.zeros(1, 16, dtype=torch.long, device="meta")
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits.sum().backward()
    # The gradient of the first layer's input stops at the embedding, which is a lookup: nothing of the
    # formula is saved.
    assert counter.get_total_flops() == 16 * flops_per_token(config, length=16, lm_head=True, backward=True)


def test_the_published_shape() -> None:
    config = llama_config("conan-1.4b")
    shape = (
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.intermediate_size,
    )
    assert shape == (8, 3584, 32, 8, 8192)
    assert (config.vocab_size, config.max_position_embeddings) == (150_000, 32_768)
    assert num_parameters(config) == 1_499_205_120


def test_what_the_stated_size_can_be_made_of() -> None:
    """The figures of the docstring, counted on models on the meta device."""

    def millions(**changes: object) -> float:
        with torch.device("meta"):
            model = LlamaModel(llama_config("conan-1.4b", **changes))
        return sum(parameter.numel() for parameter in model.parameters()) / 1e6

    stated, base = 1503, millions()
    assert millions(attention_bias=True, mlp_bias=True) - base == pytest.approx(0.2, abs=0.05)
    assert millions(head_dim=128) - base == pytest.approx(36.7, abs=0.05)
    assert [vocab for vocab in (150_918, 150_920, 151_040, 151_198, 151_200)
            if round(millions(vocab_size=vocab)) == stated] == [150_920, 151_040, 151_198]  # fmt: skip


def test_sizes_are_what_the_names_say() -> None:
    millions = {name: num_parameters(llama_config(name), embedding=False) / 1e6 for name in PRESETS}
    assert 0.5 < millions["nano"] < 1
    assert millions["30m"] == pytest.approx(30, rel=0.03)
    assert millions["150m"] == pytest.approx(150, rel=0.03)
    assert millions["600m"] == pytest.approx(600, rel=0.03)
    assert list(millions.values()) == sorted(millions.values())


def test_special_ids_and_overrides_arrive() -> None:
    config = llama_config(
        "nano", vocab_size=100, pad_token_id=3, eos_token_id=4, bos_token_id=5, intermediate_size=64
    )
    assert (
        config.vocab_size,
        config.pad_token_id,
        config.eos_token_id,
        config.bos_token_id,
        config.intermediate_size,
    ) == (
        100,
        3,
        4,
        5,
        64,
    )


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="did you mean 'tiny'"):
        llama_config("tinny")
    with pytest.raises(UserError, match="'num_layers' is not a field"):
        llama_config("nano", num_layers=3)
    with pytest.raises(UserError, match="multiple of the number of attention heads"):
        llama_config("nano", hidden_size=190)
