import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen3Config

from conan_train.model.flops import model_flops_per_token
from conan_train.model.peak import peak_flops, peak_of
from conan_train.model.presets import flops_per_token, llama_config


@pytest.mark.parametrize("name", ["nano", "150m", "conan-1.4b"])
def test_counted_from_modules_is_the_formula_of_the_preset(name: str) -> None:
    config = llama_config(name)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    expected = flops_per_token(config, length=512, lm_head=True, backward=True)
    assert model_flops_per_token(model, length=512) == expected


def test_another_family_with_a_head_of_its_own() -> None:
    config = Qwen3Config(
        vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        head_dim=16, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    matrices = 3 * (32 * 16 * 2 * (4 + 2) + 3 * 32 * 48) + 100 * 32
    assert model_flops_per_token(model, length=64) == 3 * (2 * matrices + 3 * 4 * 64 * 4 * 16)


def test_peaks_by_name() -> None:
    found = {
        name: peak_of(name)
        for name in (
            "NVIDIA H100 80GB HBM3",
            "NVIDIA H100 PCIe",
            "NVIDIA A100-SXM4-80GB",
            "NVIDIA L40S",
            "NVIDIA A10",
            "Some GPU",
        )
    }
    assert list(found.values()) == [989.4e12, 756.4e12, 312e12, 362.1e12, 125e12, None]
    assert peak_of("NVIDIA L4") == 121e12 and peak_of("NVIDIA A10G") is None
    assert peak_flops(torch.device("cpu")) is None
