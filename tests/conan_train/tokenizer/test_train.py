import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, LlamaConfig

from conan_data.artifact import open_artifact
from conan_data.errors import UserError
from conan_train.corpus import hash_place
from conan_train.tokenizer.config import SMALLEST, TokenizerConfig
from conan_train.tokenizer.sampling import HELD_OUT
from conan_train.tokenizer.specials import SPECIALS
from conan_train.tokenizer.train import train_tokenizer

SENTENCES = {
    "en": "The {} library reads files, number {}.",
    "fr": "La bibliothèque {} lit l'eau des fichiers, numéro {}.",
    "hi": "{} पुस्तकालय फ़ाइलें पढ़ता है, संख्या {}।",
    "zh": "{}库读取文件，编号{}。",
}
UNSEEN = ["naïve  café\n\n\tx=12 ", "日本語とภาษาไทย", "👩‍👩‍👧 \U0001f9ff \u0000 \ufeff", "ﬁ", ""]


@pytest.fixture(scope="module")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "documents.jsonl"
    rows = [
        json.dumps({"text": sentence.format(f"lib{number % 17}", number) * 3, "metadata": {"lang": lang}})
        for number in range(300)
        for lang, sentence in SENTENCES.items()
        if lang != "hi" or number < 40
    ]
    rows += [
        "{broken",
        json.dumps({"text": 5}),
        json.dumps({"lang": "en"}),
        json.dumps({"text": "  "}),
        json.dumps({"text": "no language"}),
    ]
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(scope="module")
def tokenizer_dir(corpus_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tokenizer(
        TokenizerConfig(
            out=tmp_path_factory.mktemp("out") / "tokenizer", corpus=(str(corpus_file),), vocab_size=360
        )
    )


def test_same_bytes_again(corpus_file: Path, tokenizer_dir: Path, tmp_path: Path) -> None:
    again = train_tokenizer(
        TokenizerConfig(out=tmp_path / "tokenizer", corpus=(str(corpus_file),), vocab_size=360)
    )
    for path in tokenizer_dir.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("beside_llama", [False, True])
def test_loads_in_transformers_as_it_is(tokenizer_dir: Path, tmp_path: Path, beside_llama: bool) -> None:
    """Beside a Llama config too, for which transformers may build a tokenizer of its own."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tokenizer_dir / name).read_bytes())
    if beside_llama:
        LlamaConfig(hidden_size=32, num_attention_heads=2).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    raw = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    assert (loaded.pad_token_id, loaded.eos_token_id, loaded.bos_token_id, len(loaded)) == (0, 1, None, 360)
    assert [loaded.convert_tokens_to_ids(token) for token in SPECIALS] == list(range(len(SPECIALS)))
    for text in [*SENTENCES.values(), *UNSEEN]:
        ids = loaded(text)["input_ids"]
        assert ids == raw.encode(text).ids
        assert ids[-1] == 1 and 1 not in ids[:-1]
        assert loaded.decode(ids, skip_special_tokens=True) == text
    assert loaded("one two three four five six seven", truncation=True, max_length=4)["input_ids"][-1] == 1
    padded = loaded(["a", "a b c d"], padding=True)
    assert padded["input_ids"][0][-1] == 0 and padded["attention_mask"][0][0] == 1
    chat = loaded.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert chat == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_merges_were_learned(tokenizer_dir: Path) -> None:
    raw = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    assert raw.encode(" library", add_special_tokens=False).tokens == ["Ġlibrary"]
    assert raw.encode("12", add_special_tokens=False).tokens == ["1", "2"]


def test_no_token_is_a_sentence(tmp_path: Path) -> None:
    rows = [json.dumps({"text": "เรียกดูรายละเอียดสำหรับคำสั่งตัวเต็ม", "lang": "th"})] * 300
    (tmp_path / "th.jsonl").write_text("\n".join(rows))
    longest = {}
    for size in (24, 1000):
        out = train_tokenizer(
            TokenizerConfig(
                out=tmp_path / str(size),
                corpus=(str(tmp_path / "th.jsonl"),),
                vocab_size=400,
                max_token_bytes=size,
            )
        )
        vocabulary = Tokenizer.from_file(str(out / "tokenizer.json")).get_vocab()
        longest[size] = max(len(token) for token in vocabulary if token not in SPECIALS)
    assert longest[24] <= 24 and longest[1000] == 3 * 36


def test_rows_and_fertility(corpus_file: Path, tokenizer_dir: Path) -> None:
    rows = open_artifact(tokenizer_dir, kind="tokenizer").rows
    texts = [
        (row.get("metadata", {}).get("lang", "und"), row["text"])
        for line in corpus_file.read_text().split("\n")
        if not line.startswith("{broken")
        and isinstance((row := json.loads(line)).get("text"), str)
        and row["text"].strip()
    ]
    held_out = [(lang, text) for lang, text in texts if hash_place(text) < HELD_OUT]
    assert held_out, "the fixture should have some"
    assert dict(rows.dropped) == {
        "invalid-json": 1, "text-is-no-string": 1, "no-text": 1, "empty-text": 1, "held-out": len(held_out)
    }  # fmt: skip
    assert rows.kept == len(texts) - len(held_out)
    raw = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    fertility = json.loads((tokenizer_dir / "fertility.json").read_text())
    assert set(fertility) == {*SENTENCES, "und"}
    for lang, row in fertility.items():
        chosen = [text for name, text in held_out if name == lang]
        assert row["held_out"] == bool(chosen)
        chosen = chosen or [text for name, text in texts if name == lang]
        num_tokens = sum(len(raw.encode(text, add_special_tokens=False).ids) for text in chosen)
        assert row["characters_per_token"] == round(sum(map(len, chosen)) / num_tokens, 4)


def test_a_smaller_sample_is_balanced(corpus_file: Path, tmp_path: Path) -> None:
    config = TokenizerConfig(
        out=tmp_path / "t", corpus=(str(corpus_file),), vocab_size=400, sample_characters=20_000, balance=0.0
    )
    extra = open_artifact(train_tokenizer(config)).manifest["extra"]
    taken = extra["sample_characters"]
    assert sum(taken.values()) < 22_000
    assert min(taken["en"], taken["fr"], taken["zh"]) > 0.8 * max(taken["en"], taken["fr"], taken["zh"])


def test_wrong_inputs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="vocab_size: must be at least"):
        TokenizerConfig(out=tmp_path / "t", corpus=("x",), vocab_size=SMALLEST - 1)
    with pytest.raises(UserError, match="no such file"):
        train_tokenizer(
            TokenizerConfig(out=tmp_path / "t", corpus=(str(tmp_path / "absent"),), vocab_size=360)
        )
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"body": "x"}\n')
    with pytest.raises(UserError, match=r"no usable document in .*\(no-text 1\)"):
        train_tokenizer(TokenizerConfig(out=tmp_path / "t", corpus=(str(empty),), vocab_size=360))
    assert not (tmp_path / "t").exists() and not (tmp_path / "t.partial").exists()
