import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def embedder() -> Embedder:
    """A tiny Llama in float64 throughout (the norms of transformers compute in float32), with weights large
    enough to matter.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        pad_token_id=0,
    )
    config.initializer_range = 0.2
    model = LlamaModel(config)
    for layer in model.layers:
        layer.input_layernorm, layer.post_attention_layernorm = (
            torch.nn.RMSNorm(16, 1e-6),
            torch.nn.RMSNorm(16, 1e-6),
        )
    model.norm = torch.nn.RMSNorm(16, 1e-6)
    return Embedder(model.double(), EncodingContract(), alpha=0.4)
