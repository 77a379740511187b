"""Decoders and tokenizers of other makers, in the form in which they are published, as the base of an embedder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from conan_data.errors import UserError
from conan_data.models.locate import find_model
from conan_train.model.contract import EncodingContract
from conan_train.model.directions import check_directions
from conan_train.model.embedder import Embedder
from conan_train.model.tokenization import encode_texts, load_tokenizer, pad_tokens

SHAPE = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
TEXTS = ["a short text", "a text that is quite a bit longer than the other one is", "naïve 使用 x=1"]
CORPUS = ["a short text that is quite a bit longer than the other one is, naïve "] * 20


def byte_level(eos: str, extra: list[str]) -> Tokenizer:
    """As Qwen and Llama 3 have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[eos, *extra],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_fallback(specials: list[str], *before: normalizers.Normalizer) -> Tokenizer:
    """As Llama 2, Mistral and Gemma have it: spaces become ▁, and bytes are tokens."""
    letters = sorted({letter for text in CORPUS for letter in text.replace(" ", "▁")})
    words = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={word: place for place, word in enumerate(words)},
            merges=[],
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens(specials)
    bos = next(word for word in specials if word in ("<s>", "<bos>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, specials.index(bos))]
    )
    return tokenizer


def with_bos(tokenizer: Tokenizer, bos: str) -> Tokenizer:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    return tokenizer


LLAMA_2 = ["<unk>", "<s>", "</s>"]
GEMMA = ["<pad>", "<eos>", "<bos>", "<unk>"]
BASES: dict[str, tuple[Callable[[], PreTrainedModel], Callable[[], Tokenizer], dict[str, object]]] = {
    "llama-2, no padding token": (
        lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
        lambda: byte_fallback(LLAMA_2, normalizers.Prepend("▁")),
        {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    ),
    "llama-3, starts with a token": (
        lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=True)),
        lambda: with_bos(byte_level("<|end_of_text|>", ["<|begin_of_text|>"]), "<|begin_of_text|>"),
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|end_of_text|>",
        },
    ),
    "qwen-2, end and padding are one token": (
        lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
        lambda: byte_level("<|endoftext|>", ["<|im_start|>", "<|im_end|>"]),
        {
            "tokenizer_class": "Qwen2Tokenizer",
            "eos_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
            "padding_side": "left",
        },
    ),
    "qwen-3": (
        lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=8)),
        lambda: byte_level("<|im_end|>", ["<|endoftext|>"]),
        {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    ),
    "gemma-3, pads on the left": (
        lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SHAPE, head_dim=8, sliding_window=4)),
        lambda: byte_fallback(GEMMA),
        {
            "tokenizer_class": "GemmaTokenizer",
            "bos_token": "<bos>",
            "eos_token": "<eos>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "padding_side": "left",
        },
    ),
    "llama, the named class does not fit the file": (
        lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
        lambda: byte_level("<eos>", ["<pad>"]),
        {"tokenizer_class": "LlamaTokenizer", "eos_token": "<eos>", "pad_token": "<pad>"},
    ),
    "mistral, sliding window": (
        lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=4)),
        lambda: byte_fallback(LLAMA_2),
        {
            "tokenizer_class": "LlamaTokenizer",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "padding_side": "left",
            "add_bos_token": True,
            "add_eos_token": False,
        },
    ),
}


@pytest.fixture(params=BASES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make_model, make_tokenizer, settings = BASES[request.param]
    torch.manual_seed(0)
    make_model().save_pretrained(tmp_path)
    make_tokenizer().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    return tmp_path


def test_one_end_and_nothing_else(folder: Path) -> None:
    tokenizer = load_tokenizer(find_model(str(folder)).folder)
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text, ids in zip(TEXTS, encode_texts(tokenizer, TEXTS, 200), strict=True):
        assert ids == [*raw.encode(text, add_special_tokens=False).ids, tokenizer.eos_token_id]
        assert ids.count(tokenizer.eos_token_id) == 1 and tokenizer.bos_token_id not in ids
    cut = encode_texts(tokenizer, TEXTS, 5)
    assert all(len(ids) <= 5 and ids[-1] == tokenizer.eos_token_id for ids in cut)


def test_it_becomes_an_embedder(folder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(folder)
    embedder = Embedder.from_language_model(folder, EncodingContract(max_length=64), alpha=0.4)
    check_directions(embedder.backbone, embedder.mask)
    token_lists = encode_texts(tokenizer, TEXTS, 64)
    ids_BL, mask_BL = pad_tokens(token_lists, pad_id=embedder.pad_id, device="cpu")
    assert mask_BL.sum(-1).tolist() == [len(ids) for ids in token_lists] and mask_BL[:, 0].all()
    together_BD = embedder(ids_BL, mask_BL)
    for place, ids in enumerate(token_lists):
        alone_1D = embedder(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long))
        torch.testing.assert_close(together_BD[place], alone_1D[0], atol=2e-6, rtol=1e-5)
    embedder.save(tmp_path / "saved", tokenizer=tokenizer)
    plain = AutoTokenizer.from_pretrained(tmp_path / "saved", local_files_only=True)
    assert plain(TEXTS, truncation=True, max_length=64)["input_ids"] == token_lists
    assert encode_texts(load_tokenizer(tmp_path / "saved"), TEXTS, 64) == token_lists
    again = Embedder.load(tmp_path / "saved")
    torch.testing.assert_close(again(ids_BL, mask_BL), together_BD)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: Gemma2ForCausalLM(Gemma2Config(**SHAPE, head_dim=8)),
            "Gemma2Model: its attention has no sdpa",
        ),
        (
            lambda: BloomForCausalLM(BloomConfig(vocab_size=320, hidden_size=32, n_layer=2, n_head=4)),
            "BloomModel: ",
        ),
        (
            lambda: MambaForCausalLM(MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2)),
            "MambaModel: ",
        ),
    ],
)
def test_a_family_that_cannot_is_refused_with_the_reason(
    model: Callable[[], PreTrainedModel], message: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=message):
        embedder = Embedder.from_language_model(tmp_path, EncodingContract())
        check_directions(embedder.backbone, embedder.mask)
