"""A corpus of two sources in three languages, and a tokenizer that spells bytes."""

import json
import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEXTS = {"en": "the cat sat on the mat ", "de": "die Katze saß auf der Matte ", "zh": "猫坐在垫子上"}


def write_tokenizer(folder: Path, *, merges: int = 0) -> Path:
    folder.mkdir(parents=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0, "</s>": 1} | {symbol: place + 2 for place, symbol in enumerate(alphabet)}
    pairs = [("t", "h"), ("th", "e")][:merges]
    vocabulary |= {"".join(pair): len(vocabulary) + place for place, pair in enumerate(pairs)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<pad>", "</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>", "pad_token": "<pad>"}))
    return folder


@pytest.fixture(scope="session")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "bytes", merges=2)


@pytest.fixture(scope="session")
def corpus_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`web/` names no source, two files; `mixed/` names two in its rows, with a broken line."""
    root, draw = tmp_path_factory.mktemp("corpora"), random.Random(3)
    rows = [
        {"text": TEXTS[lang] * draw.randint(1, 9) + str(number), "lang": lang}
        for number in range(300)
        for lang in [draw.choice(list(TEXTS))]
    ]
    (root / "web").mkdir()
    (root / "mixed").mkdir()
    for number in range(2):
        (root / "web" / f"{number}.jsonl").write_text("\n".join(map(json.dumps, rows[number * 100 :][:100])))
    named = [row | {"source": "news" if place % 3 else "a/b"} for place, row in enumerate(rows[200:])]
    lines = [*map(json.dumps, named), "{broken", '{"text": " "}', '{"text": "</s> spelled out"}']
    (root / "mixed" / "rows.jsonl").write_text("\n".join(lines))
    return root
