"""A two-layer embedder with a byte-level tokenizer, published as training would."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel, PreTrainedTokenizerFast

from conan_data import artifact
from conan_data.config import StageConfig
from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadeUpConfig(StageConfig):
    alpha: float = 1.0
    dtype: str = "float32"


def tiny_tokenizer() -> PreTrainedTokenizerFast:
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


def tiny_config() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=512, pad_token_id=1, eos_token_id=0, bos_token_id=None, tie_word_embeddings=True,
    )  # fmt: skip


@pytest.fixture
def make_embedder(tmp_path: Path) -> Callable[..., Path]:
    """`make_embedder(alpha=..., dtype=...)` publishes an artifact of kind "embedder"."""

    def publish(*, alpha=1.0, dtype="float32", name="trained"):
        torch.manual_seed(0)
        model = LlamaModel(tiny_config())
        # Large enough that attention matters: at the usual initial weights causal and bidirectional states
        # are nearly equal.
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
        contract = EncodingContract(max_length=48, query_prompt="query: ", document_prompt="passage: ")
        with artifact.building(
            MadeUpConfig(out=tmp_path / name, alpha=alpha, dtype=dtype),
            kind="embedder",
            command="conan-train finetune",
            inputs=[],
        ) as build:
            Embedder(model.to(getattr(torch, dtype)), contract, alpha=alpha).save(
                build.dir / "model", tokenizer=tiny_tokenizer()
            )
            return build.publish(rows=artifact.Rows(read=5, kept=5))

    return publish


@pytest.fixture
def language_model(tmp_path: Path) -> Path:
    """An artifact of kind "language-model"."""
    torch.manual_seed(0)
    with artifact.building(
        MadeUpConfig(out=tmp_path / "lm"), kind="language-model", command="conan-train pretrain", inputs=[]
    ) as build:
        LlamaForCausalLM(tiny_config()).save_pretrained(build.dir / "model")
        tiny_tokenizer().save_pretrained(build.dir / "model")
        return build.publish(rows=artifact.Rows(read=5, kept=5))
