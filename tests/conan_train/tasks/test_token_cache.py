import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from transformers import PreTrainedTokenizerFast

import conan_train.tasks.token_cache as token_cache
from conan_train.model.tokenization import encode_texts
from conan_train.tasks.token_cache import cache_key, open_tokens, row_texts, tokenizer_fingerprint

from .conftest import TEXTS

WORDS = " ".join(TEXTS).split()


def corpus(num_rows: int = 50) -> pa.Table:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, size=rng.integers(0, 30))) for _ in range(num_rows)]
    titles = [None if row % 3 else f"title {row}" for row in range(num_rows)]
    return pa.table({"title": pa.array(titles, pa.string()), "text": texts})


def joined(table: pa.Table) -> list[str]:
    return [f"{row['title'] or ''} {row['text']}".strip() for row in table.to_pylist()]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "_PART", 7)
    monkeypatch.setattr(token_cache, "_BATCH", 3)


@pytest.mark.parametrize("prompt", ["", "query: "])
def test_the_same_ids_as_encode_texts_at_every_limit(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, small_parts: None, prompt: str
) -> None:
    table = corpus()
    rows = np.random.default_rng(1).permutation(np.repeat(np.arange(50), 2))
    longest = max(map(len, encode_texts(tokenizer, joined(table), 10_000, prompt=prompt)))
    num_cut = 0
    for max_length in (2, 3, 11, longest - 1, longest, longest + 1):
        tokens = open_tokens(
            tmp_path, table, ("title", "text"), tokenizer, prompt=prompt, max_length=max_length
        )
        expected = encode_texts(tokenizer, joined(table), max_length, prompt=prompt)
        assert [ids.tolist() for ids in tokens(rows)] == [expected[row] for row in rows]
        assert tokens.lengths().tolist() == [len(ids) for ids in expected]
        num_cut += sum(len(ids) == max_length for ids in expected)
    assert num_cut > 100
    assert len(list(tmp_path.glob("*/tokens.json"))) == 1, "one cache serves all limits"
    assert tokens.ids.dtype == np.uint16 and isinstance(tokens.ids, np.memmap)
    assert tokens(np.zeros(0, np.int64)) == []


def test_a_large_vocabulary_takes_wider_ids(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    vocab = backend["model"]["vocab"]
    backend["model"]["vocab"] = {
        word: 70_000 + place if word == "a" else place for word, place in vocab.items()
    }
    from tokenizers import Tokenizer

    wide = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(backend)), eos_token="<eos>"
    )
    tokens = open_tokens(tmp_path, pa.table({"text": ["a b"]}), ("text",), wide, prompt="", max_length=8)
    assert [ids.tolist() for ids in tokens(np.array([0]))] == encode_texts(wide, ["a b"], 8)
    assert tokens(np.array([0]))[0].max() >= 70_000


def test_whatever_changes_the_ids_changes_the_name(tokenizer: PreTrainedTokenizerFast) -> None:
    def key(texts: list[str], prompt: str = "", other: PreTrainedTokenizerFast = tokenizer) -> str:
        return cache_key(other, prompt, iter([texts]))

    names = [
        key(["ab", "c"]),
        key(["a", "bc"]),
        key(["c", "ab"]),
        key(["ab", "c"], prompt="p"),
        key(["ab"]),
    ]
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend["model"]["merges"] = backend["model"]["merges"][:-5]
    from tokenizers import Tokenizer

    fewer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(backend)), eos_token="<eos>"
    )
    names.append(key(["ab", "c"], other=fewer))
    assert len(set(names)) == len(names)


def test_what_calls_leave_behind_in_a_tokenizer_does_not_change_the_name(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["a b c"], truncation=True, max_length=2, padding="max_length")
    assert tokenizer_fingerprint(tokenizer) == before


def test_the_key_does_not_depend_on_chunks(tokenizer: PreTrainedTokenizerFast) -> None:
    table = corpus(3000).select(["text"])
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 1500), table.slice(1501)])
    keys = {cache_key(tokenizer, "", row_texts(part, ("text",))) for part in (table, chunked)}
    assert len(keys) == 1


def test_a_cache_is_found_again_and_not_made_again(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = corpus()
    first = open_tokens(tmp_path, table, ("text",), tokenizer, prompt="", max_length=16)
    monkeypatch.setattr(token_cache, "encode_texts", None)
    again = open_tokens(tmp_path, table, ("text",), tokenizer, prompt="", max_length=16)
    rows = np.arange(50)
    assert [a.tolist() for a in first(rows)] == [b.tolist() for b in again(rows)]


@pytest.mark.parametrize("damage", ["byte", "short", "no-meta", "bad-meta", "gone"])
def test_a_damaged_cache_is_noticed_and_made_again(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = corpus()
    open_tokens(tmp_path, table, ("text",), tokenizer, prompt="", max_length=16)
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    ids = folder / "ids.npy"
    content = ids.read_bytes()
    if damage == "byte":
        ids.write_bytes(content[:-10] + bytes([content[-10] ^ 1]) + content[-9:])
    elif damage == "short":
        (folder / "starts.npy").write_bytes((folder / "starts.npy").read_bytes()[:-8])
    elif damage == "gone":
        ids.unlink()
    else:
        meta = folder / "tokens.json"
        meta.unlink() if damage == "no-meta" else meta.write_text("[1]")
    again = open_tokens(tmp_path, table, ("text",), tokenizer, prompt="", max_length=16)
    assert "made again" in caplog.text
    texts = [text.strip() for text in table.column("text").to_pylist()]
    assert [row.tolist() for row in again(np.arange(50))] == encode_texts(tokenizer, texts, 16)


def test_a_run_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = corpus()
    seen: list[str] = []

    def encode(tokenizer: object, texts: list[str], *rest: object, **options: object) -> list[list[int]]:
        if len(seen) >= 20:
            raise KeyboardInterrupt
        seen.extend(texts)
        return encode_texts(tokenizer, texts, *rest, **options)

    monkeypatch.setattr(token_cache, "encode_texts", encode)
    with pytest.raises(KeyboardInterrupt):
        open_tokens(tmp_path, table, ("text",), tokenizer, prompt="", max_length=16)
    parts = sorted(tmp_path.glob("*.partial/part-*.npy"))
    assert len(parts) == 2 and not list(tmp_path.glob("*/tokens.json"))
    # One of the finished parts is damaged: only that one and what was missing is made.
    content = parts[1].read_bytes()
    parts[1].write_bytes(content[:-150] + bytes([content[-150] ^ 1]) + content[-149:])
    seen.clear()
    monkeypatch.setattr(
        token_cache,
        "encode_texts",
        lambda tokenizer, texts, *rest, **options: (
            seen.extend(texts),
            encode_texts(tokenizer, texts, *rest, **options),
        )[1],
    )
    tokens = open_tokens(tmp_path, table, ("text",), tokenizer, prompt="", max_length=16)
    assert len(seen) == 50 - 7
    texts = [text.strip() for text in table.column("text").to_pylist()]
    assert [row.tolist() for row in tokens(np.arange(50))] == encode_texts(tokenizer, texts, 16)
    assert not list(tmp_path.glob("*.partial"))


def test_processes_that_ask_at_once_get_one_cache(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    code = f"""
import numpy as np, pyarrow as pa
from pathlib import Path
import conan_train.tasks.token_cache as cache
from conan_train.model.tokenization import load_tokenizer
made = []
inner = cache._make
cache._make = lambda *args, **options: (made.append(1), inner(*args, **options))
table = pa.table({{"text": [f"text {{row}} of many" for row in range(20000)]}})
tokens = cache.open_tokens(Path({str(tmp_path / "cache")!r}), table, ("text",),
    load_tokenizer({str(tmp_path / "tokenizer")!r}), prompt="", max_length=8)
print(len(made), tokens.lengths().sum())
"""
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = sorted(run.communicate(timeout=120)[0].split() for run in runs)
    assert [answer[0] for answer in answers] == ["0", "1"] and answers[0][1] == answers[1][1]


def test_no_texts(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    empty = pa.table({"text": pa.array([], pa.string())})
    for _ in range(2):
        tokens = open_tokens(tmp_path, empty, ("text",), tokenizer, prompt="", max_length=8)
        assert len(tokens) == 0 and tokens.lengths().tolist() == []
