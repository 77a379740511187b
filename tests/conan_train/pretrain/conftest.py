"""A tiny world: a corpus in three languages, a tokenizer for it, and a two-layer model."""

import json
import random
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from conan_train.tokenizer.config import TokenizerConfig
from conan_train.tokenizer.train import train_tokenizer

WORDS = {
    "en": [
        "the",
        "model",
        "reads",
        "a",
        "text",
        "and",
        "predicts",
        "what",
        "comes",
        "next",
        "in",
        "it",
        "every",
        "time",
    ],
    "de": [
        "das",
        "Modell",
        "liest",
        "einen",
        "Text",
        "und",
        "sagt",
        "voraus",
        "was",
        "danach",
        "kommt",
        "jedes",
        "Mal",
    ],
    "zh": ["模型", "读取", "文本", "然后", "预测", "接下来", "的", "词"],
}


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = random.Random(1)
    rows = [
        json.dumps({"text": " ".join(draw.choice(words) for _ in range(draw.randint(1, 60))), "lang": lang})
        for lang, words in WORDS.items()
        for _ in range(120)
    ]
    rows += ["{broken", json.dumps({"text": "a literal </s> and <pad> in a text", "lang": "en"})]
    path = tmp_path_factory.mktemp("corpus") / "documents.jsonl"
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(scope="session")
def model_dir(corpus_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain model folder with its tokenizer."""
    root = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(
        TokenizerConfig(out=root / "tokenizer", corpus=(str(corpus_file),), vocab_size=320)
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=320, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=128, pad_token_id=0, eos_token_id=1, bos_token_id=None, tie_word_embeddings=True, attention_dropout=0.1,
            initializer_range=0.1,
        )
    )  # fmt: skip
    model.save_pretrained(root / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (root / "model" / name).write_bytes((tokenizer / name).read_bytes())
    return root / "model"
