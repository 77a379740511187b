import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers.convert_slow_tokenizer import bytes_to_unicode

from conan_data import artifact
from conan_data.corpus.tokenizer import load
from conan_data.errors import UserError
from conan_train.tokenizer import bytelevel
from conan_train.tokenizer.baseline import baseline_file
from conan_train.tokenizer.config import TokenizerConfig
from conan_train.tokenizer.fertility import Texts, describe, measure, split_characters
from conan_train.tokenizer.specials import SPECIALS
from conan_train.tokenizer.train import train_tokenizer

BYTES = {letter: byte for byte, letter in bytes_to_unicode().items()}
ENGLISH, CHINESE = "the library reads the files ", "编写编写编写读取文件"


def trained(vocab_size: int) -> Tokenizer:
    """Of English, and of Chinese characters in part."""
    tokenizer = bytelevel.untrained()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([ENGLISH * 9, CHINESE, "编写"], trainer)
    return bytelevel.finish(tokenizer)


TOKENIZER = trained(300)


def held(**texts: str) -> Texts:
    found = Texts()
    for lang, text in texts.items():
        found.add(lang, text)
    return found


def split_by_bytes(text: str) -> int:
    """The characters inside of whose bytes a token ends."""
    ends, place = set(), 0
    for token in TOKENIZER.encode(text, add_special_tokens=False).tokens:
        place += len(bytes(BYTES[letter] for letter in token))
        ends.add(place)
    found = place = 0
    for character in text:
        width = len(character.encode())
        found += bool(ends & set(range(place + 1, place + width)))
        place += width
    return found


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("the 编写读取x éй𓀀\n\u0301"), max_size=20))
def test_split_characters_are_those_that_a_token_ends_in(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    encoding = TOKENIZER.encode(text, add_special_tokens=False)
    assert split_characters(encoding, len(text), unknown=None) == split_by_bytes(text)


def test_a_language_spelled_in_bytes_is_seen() -> None:
    report = measure(TOKENIZER, held(en=ENGLISH, zh="编写", hi="नमस्ते"), Texts())
    en, zh, hi = (report.languages[lang] for lang in ("en", "zh", "hi"))
    assert en["split_characters"] == zh["split_characters"] == 0
    assert hi["split_characters"] == 1.0 and hi["tokens"] > 6 and hi["bytes_per_token"] < 1.7
    assert zh["vocabulary_used"] == round(1 / 300, 4), "one token, 编写"
    assert report.vocabulary["ours"]["longest"][0] in (" library", "library")
    used = {
        number
        for text in (ENGLISH, "编写", "नमस्ते")
        for number in TOKENIZER.encode(text, add_special_tokens=False).ids
    }
    assert report.vocabulary["ours"]["used"] == round(len(used) / 300, 4)


def test_beside_a_baseline() -> None:
    words = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "files": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    row = measure(TOKENIZER, held(en="the big files"), Texts(), baseline=words).languages["en"]
    assert row["baseline"]["tokens"] == 3
    assert row["baseline"]["split_characters"] == round(3 / 13, 6), "big is unknown"
    assert row["ratio"] == round(3 / row["tokens"], 4)
    assert "(baseline 4.33, ratio" in describe("en", row) and "(baseline 23.08%)" in describe("en", row)
    same = measure(TOKENIZER, held(en=ENGLISH), Texts(), baseline=TOKENIZER)
    assert same.languages["en"]["ratio"] == 1.0
    assert same.vocabulary["ours"] == same.vocabulary["baseline"]


def test_the_baseline_is_in_the_artifact(tmp_path: Path) -> None:
    rows = [json.dumps({"text": f"{ENGLISH} {number}", "lang": "en"}) for number in range(300)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    corpus = (str(tmp_path / "rows.jsonl"),)
    small = train_tokenizer(TokenizerConfig(out=tmp_path / "small", corpus=corpus, vocab_size=270))
    large = train_tokenizer(
        TokenizerConfig(out=tmp_path / "large", corpus=corpus, vocab_size=310, baseline=str(small))
    )
    row = json.loads((large / "fertility.json").read_text())["en"]
    before = json.loads((small / "fertility.json").read_text())["en"]
    assert row["baseline"]["characters_per_token"] == before["characters_per_token"]
    assert row["ratio"] > 1.2
    assert set(json.loads((large / "vocabulary.json").read_text())) == {"ours", "baseline"}
    inputs = artifact.open_artifact(large).manifest["inputs"]
    assert [entry["path"] for entry in inputs] == ["rows.jsonl", "small/tokenizer.json"]
    folder, file = tmp_path / "folder", tmp_path / "folder" / "tokenizer.json"
    folder.mkdir()
    TOKENIZER.enable_truncation(3)
    TOKENIZER.save(str(file))
    TOKENIZER.no_truncation()
    assert baseline_file(str(folder)) == baseline_file(str(file)) == file
    assert len(load(file, field="baseline").encode(ENGLISH)) > 3


def test_what_is_no_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "torn.json").write_text("{")
    for name, message in {"absent": "no such file", "empty": "no tokenizer.json there"}.items():
        with pytest.raises(UserError, match=message):
            baseline_file(name)
    for name, message in {"list.json": "holds no tokenizer", "torn.json": "not readable"}.items():
        with pytest.raises(UserError, match=message):
            load(baseline_file(name), field="baseline")
