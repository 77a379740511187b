"""A two-layer checkpoint with a byte-level tokenizer, and texts of many lengths."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder

TEXTS = [f"list the files of folder {number} " * (1 + number % 9) for number in range(40)]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<eos>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["list the files of a folder", "how do I list files"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")


@pytest.fixture
def embedder() -> Embedder:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, pad_token_id=1, eos_token_id=0, bos_token_id=None,
    )  # fmt: skip
    model = LlamaModel(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    contract = EncodingContract(max_length=48, query_prompt="query: ", document_prompt="passage: ")
    return Embedder(model, contract, alpha=0.5).eval()


@pytest.fixture
def checkpoint(embedder: Embedder, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    embedder.save(tmp_path / "checkpoint", tokenizer=tokenizer)
    return tmp_path / "checkpoint"
