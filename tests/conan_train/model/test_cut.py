"""Cutting before tokenising: the tokens that are kept are those of the whole text, whatever the text."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from conan_data.mining.encoder import load_encoder
from conan_data.models import cut
from conan_data.models.cut import cut_texts
from conan_train.model.tokenization import encode_texts
from tests.conan_train.model.tiny_models import (
    bert_tokenizer,
    byte_level_tokenizer,
    write_bert,
    write_embedder,
)

WORDS = [
    "the",
    "cat",
    "theatre",
    "aaaa",
    "aaaaaaaaaaaaaaa",
    "12345",
    "naïve",
    "使用",
    "नमस्ते",
    "é́",
    "--",
    "...",
    "\t",
    "\n\n",
    "",
    "",
    "'",
    "don't",
    "👍🏽",
    "zzz",
]
CORPUS = [" ".join(random.Random(seed).choices(WORDS, k=60)) for seed in range(40)]


def trained(model: str, pre: object, normalizer: object | None) -> PreTrainedTokenizerFast:
    kinds = {"bpe": (models.BPE, trainers.BpeTrainer), "unigram": (models.Unigram, trainers.UnigramTrainer)}
    make, trainer = kinds[model]
    backend = Tokenizer(make())
    if normalizer is not None:
        backend.normalizer = normalizer
    if pre is not None:
        backend.pre_tokenizer = pre
    options = {"unk_token": "<unk>"} if model == "unigram" else {}
    backend.train_from_iterator(
        CORPUS, trainer(vocab_size=300, special_tokens=["<unk>", "</s>"], show_progress=False, **options)
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", pad_token="</s>")


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "wordpiece": bert_tokenizer,
    "byte-level": byte_level_tokenizer,
    "llama 3": lambda: trained(
        "bpe",
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(
                    Regex(
                        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
                    ),
                    "isolated",
                ),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        None,
    ),
    "one word (gemma)": lambda: trained("bpe", None, normalizers.Replace(" ", "▁")),
    "unigram (xlm-r)": lambda: trained(
        "unigram", pre_tokenizers.Metaspace(), normalizers.Sequence([normalizers.NFKC()])
    ),
    "unigram, one word": lambda: trained("unigram", None, normalizers.Replace(" ", "▁")),
}  # fmt: skip


def hostile(seed: int) -> list[str]:
    draw = random.Random(seed)
    words = " ".join(draw.choices(WORDS, k=900))
    return [
        words,
        " " * 3000 + words,
        words[:200] + " " * 5000 + words,
        "\n\t " * 900 + "the cat",
        "a" * 5000,
        "a" * 4999 + " the cat",
        "ab" * 2500 + words,
        "".join(draw.choices("abcxyz", k=5000)),
        "".join(draw.choices("the aa", k=5000)),
        "".join(draw.choices("使用中文字符。，", k=5000)),
        "e" + "\u0301" * 4000 + " the cat " * 100,
        "\u200b" * 3000 + "the cat " * 300,
        "the" + "\u3000" * 3000 + "cat" * 800,
        "0123456789" * 500,
        "." * 5000 + "the",
        "-" * 2500 + " " + "=" * 2500,
        "👍🏽" * 1500,
        "\x00\x07 the " * 600,
        ("x" * 99 + " ") * 40,
        ("x" * 101 + " ") * 40,
        "",
        "the",
    ]


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("prompt", ["", "query: "])
def test_the_tokens_are_those_of_the_whole_text(
    name: str, prompt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = TOKENIZERS[name]()
    was_cut = 0
    for whole in (64, 257, 700):
        monkeypatch.setattr(cut, "WHOLE", whole)
        for seed in range(3):
            texts = hostile(seed)
            for num_tokens in (2, 16, 60):
                starts = cut_texts(tokenizer, texts, num_tokens, prompt=prompt)
                for text, start in zip(texts, starts, strict=True):
                    assert text.startswith(start)
                    expected, found = (
                        tokenizer(prompt + part, add_special_tokens=False)["input_ids"][:num_tokens]
                        for part in (text, start)
                    )
                    assert found == expected, (name, whole, num_tokens, text[:80])
                    was_cut += len(start) < len(text)
    assert was_cut > 200, "nothing was cut, so nothing is shown"


def test_a_fixed_number_of_characters_would_change_tokens() -> None:
    """What a cut at 16 characters a token gets wrong: dropped spaces, and a word that goes on."""
    tokenizer = bert_tokenizer()
    for text in (" " * 3000 + "the cat", "a" * 260):
        whole, start = (
            tokenizer(part, add_special_tokens=False)["input_ids"][:4] for part in (text, text[:64])
        )
        assert whole != start


def test_what_keeps_the_end_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "WHOLE", 64)
    tokenizer = bert_tokenizer()
    tokenizer.truncation_side = "left"
    assert cut_texts(tokenizer, ["the " * 100], 4) == ["the " * 100]


def test_encoders_and_training_take_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the cat", "the " * 900, "a" * 3000, " " * 2000 + "the cat"]
    folders = (write_bert(tmp_path / "bert", prompts={"query": "the: "}), write_embedder(tmp_path / "run"))
    encoders = [load_encoder(folder, device="cpu") for folder in folders]
    before = [encoder.encode(texts, kind="query") for encoder in encoders]
    monkeypatch.setattr(cut, "WHOLE", 256)
    for encoder, expected in zip(encoders, before, strict=True):
        np.testing.assert_array_equal(encoder.encode(texts, kind="query"), expected)
    tokenizer = byte_level_tokenizer()
    whole = [tokenizer("q: " + text, add_special_tokens=False)["input_ids"] for text in texts]
    assert encode_texts(tokenizer, texts, 20, prompt="q: ") == [[*ids[:19], 1] for ids in whole]


def test_fifty_megabytes_take_no_time(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "run")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model", local_files_only=True)
    for text in (
        "the cat sat " * 4_200_000,
        "a" * 50_000_000,
        "".join(random.Random(0).choices("abc ", k=10**6)) * 50,
    ):
        start = time.perf_counter()
        assert len(encode_texts(tokenizer, [text], 512)[0]) == 512
        assert time.perf_counter() - start < 5
