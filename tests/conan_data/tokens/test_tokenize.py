"""Shards hold every document once, with the same bytes for any number of workers and interruptions."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from conan_data.artifact import open_artifact
from conan_data.errors import UserError
from conan_data.plain_text import hash_place
from conan_data.readers import Row, read_rows
from conan_data.tokens import parts
from conan_data.tokens.config import TokenizeConfig
from conan_data.tokens.shards import read_index
from conan_data.tokens.tokenize import tokenize
from conan_data.tokens.tokenizer import encode, read_vocabulary
from tests.conan_data.tokens.conftest import write_tokenizer

ROOT = Path(__file__).parents[3]


def config(out: Path, tokenizer: Path, folder: Path, **fields: Any) -> TokenizeConfig:
    paths = (str(folder / "web"), str(folder / "mixed"))
    shape = {"corpus": paths, "part_size": "2KB", "shard_tokens": 2000}
    return TokenizeConfig(out=out, tokenizer=str(tokenizer), **{**shape, **fields})


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def documents(root: Path) -> list[tuple[str, str, list[int], float]]:
    found = []
    for shard in read_index(root).shards:
        ids, starts, places = (
            np.load(root / f"{shard.name}.{kind}.npy") for kind in ("ids", "starts", "places")
        )
        assert (len(places), len(ids)) == (shard.documents, shard.tokens) == (len(starts) - 1, starts[-1])
        for number, place in enumerate(places):
            document = ids[starts[number] : starts[number + 1]].tolist()
            found.append((shard.source, shard.language, document, float(place)))
    return found


@pytest.fixture(scope="module")
def made(tokenizer_dir: Path, corpus_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokenize(config(tmp_path_factory.mktemp("made") / "tokens", tokenizer_dir, corpus_dir))


def test_every_document_once(made: Path, tokenizer_dir: Path, corpus_dir: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    expected = []
    for path in sorted(corpus_dir.rglob("*.jsonl")):
        for row in read_rows(path):
            if isinstance(row, Row) and row.values["text"].strip():
                text = row.values["text"]
                ids = [*tokenizer.encode(text, add_special_tokens=False).ids, 1]
                source = row.values.get("source", path.parent.name)
                expected.append((source, row.values.get("lang", "und"), ids, hash_place(text)))
    found = documents(made)
    assert sorted(found) == sorted(expected)
    assert {source for source, *_ in found} == {"web", "news", "a/b", "mixed"}
    assert all(1 not in ids[:-1] and ids[-1] == 1 for _, _, ids, _ in found)
    opened = open_artifact(made, kind="tokens")
    assert (opened.rows.read, opened.rows.kept) == (303, 301)
    assert opened.rows.dropped == {"invalid-json": 1, "empty-text": 1}
    extra = opened.manifest["extra"]
    counted = Counter[str]()
    for source, _, ids, _ in found:
        counted[source] += len(ids)
    assert extra["tokens_by_source"] == dict(counted) and extra["tokens"] == counted.total()
    assert extra["tokenizer"]["fingerprint"] == read_vocabulary(str(tokenizer_dir)).fingerprint
    assert len({shard.name for shard in read_index(made).shards}) > 12, "some languages have several shards"


def test_any_number_of_workers(made: Path, tokenizer_dir: Path, corpus_dir: Path, tmp_path: Path) -> None:
    again = tokenize(config(tmp_path / "tokens", tokenizer_dir, corpus_dir, workers=2))
    assert contents(again) == contents(made)


KILLED = """
import sys, time
from pathlib import Path
from conan_data.tokens import parts
from conan_data.tokens.config import TokenizeConfig
from conan_data.tokens.tokenize import tokenize
close = parts._PartWriter.close
parts._PartWriter.close = lambda self, tally: (time.sleep(0.05), close(self, tally))
tokenize(TokenizeConfig(out=Path(sys.argv[1]), tokenizer=sys.argv[2], corpus=tuple(sys.argv[3:]), part_size="2KB", shard_tokens=2000))
"""


def test_kill_9_and_again(
    made: Path, tokenizer_dir: Path, corpus_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "tokens"
    run = config(out, tokenizer_dir, corpus_dir)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(out), str(tokenizer_dir), *run.corpus], cwd=ROOT
    )
    folder, deadline = tmp_path / "tokens.partial" / "parts", time.monotonic() + 60
    while len(list(folder.glob("*/done.json"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    num_done = len(list(folder.glob("*/done.json")))
    done: list[int] = []
    run_part = parts.Tokenizing.run
    monkeypatch.setattr(parts.Tokenizing, "run", lambda self, rank: done.append(rank) or run_part(self, rank))
    tokenize(run)
    assert contents(out) == contents(made)
    assert done and min(done) == num_done >= 3, "what was done stays"


def test_it_is_done_already(
    made: Path, tokenizer_dir: Path, corpus_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.Tokenizing, "run", lambda self, rank: pytest.fail("done again"))
    assert tokenize(config(made, tokenizer_dir, corpus_dir, workers=7)) == made


def test_pairs_become_documents(tokenizer_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "faq").mkdir()
    rows = [
        {"query": "why?", "document": "because", "lang_document": "en"},
        {"query": "warum?", "document": "because", "lang": "en"},
        {"query": "", "document": "x"},
        {"query": "no answer"},
    ]
    (tmp_path / "faq" / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name, lines in {
        "corpus": [{"_id": "d", "title": "T", "text": "body", "metadata": {"lang": "ja"}}],
        "queries": [{"_id": "q", "text": "what?"}],
    }.items():
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "set" / "qrels").mkdir()
    (tmp_path / "set" / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    pairs = (str(tmp_path / "faq"), str(tmp_path / "set"))
    out = tokenize(
        TokenizeConfig(out=tmp_path / "out", tokenizer=str(tokenizer_dir), pairs=pairs, split="dev")
    )
    tokenizer = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    found = [(source, lang, tokenizer.decode(ids), place) for source, lang, ids, place in documents(out)]
    assert sorted(found) == [
        ("faq", "en", "warum?\nbecause", hash_place("because")),
        ("faq", "en", "why?\nbecause", hash_place("because")),
        ("set", "ja", "what?\nT body", hash_place("T body")),
    ]
    assert open_artifact(out).rows.dropped == {"no-query": 1, "no-document": 1}


def test_a_very_long_text_is_encoded_like_a_short_one(tokenizer_dir: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    text = "the cat  sat, then\n " * 12_000
    assert list(encode(tokenizer, ["a", text, ""])) == [
        tokenizer.encode(part, add_special_tokens=False).ids for part in ("a", text, "")
    ]


def test_the_mark_of_a_tokenizer(tokenizer_dir: Path, tmp_path: Path) -> None:
    mark = read_vocabulary(str(tokenizer_dir)).fingerprint
    other = write_tokenizer(tmp_path / "other", merges=1)
    assert read_vocabulary(str(other)).fingerprint != mark
    same = write_tokenizer(tmp_path / "same", merges=2)
    tokenizer = Tokenizer.from_file(str(same / "tokenizer.json"))
    tokenizer.enable_truncation(7)
    tokenizer.save(str(same / "tokenizer.json"))
    assert read_vocabulary(str(same)).fingerprint == mark, "truncation is not used"
    assert read_vocabulary(str(same), eos_id=0).fingerprint != mark


def test_wrong_inputs(tokenizer_dir: Path, corpus_dir: Path, tmp_path: Path) -> None:
    def run(**fields: Any) -> None:
        tokenize(config(tmp_path / "out", fields.pop("tokenizer", tokenizer_dir), corpus_dir, **fields))

    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"body": "x"}\n')
    without = write_tokenizer(tmp_path / "without")
    (without / "tokenizer_config.json").write_text('{"eos_token": "<eos>"}')
    for fields, message in (
        ({"corpus": ()}, "corpus: name at least one input"),
        ({"part_size": "much"}, "part_size: must be an amount"),
        ({"corpus": (str(empty),)}, r"no usable document \(no-text 1\)"),
        ({"tokenizer": tmp_path / "absent"}, "no such file or folder"),
        ({"tokenizer": without}, "eos_token is '<eos>', which is not in the vocabulary"),
    ):
        with pytest.raises(UserError, match=message):
            run(**fields)
    assert not (tmp_path / "out").exists()


def test_many_processes_have_one_core_each(
    tokenizer_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "a"}')
    work = parts.Tokenizing(
        (parts.Unit(str(file), "s"),), read_vocabulary(str(tokenizer_dir)), tmp_path, "<u2"
    )
    work.run(0)
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"
    monkeypatch.setattr(parts, "parent_process", lambda: object())
    work.run(0)
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"


def test_pairs_that_are_labelled_and_their_unused_columns(
    tokenizer_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Only what answers a query is a document, in one process as in two."""
    rows = [
        {"query": "why?", "answer": "because", "label": 1, "url": "u"},
        {"query": "why?", "answer": "no reason", "label": 0, "url": "u"},
    ]
    triples = [{"query": "where?", "pos": ["here", "there"], "neg": ["nowhere"], "neg_scores": [1]}]
    for name, lines in {"a": rows, "b": triples}.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    pairs = tuple(str(tmp_path / f"{name}.jsonl") for name in "ab")
    for workers in (1, 2):
        out = tokenize(
            TokenizeConfig(
                out=tmp_path / f"out{workers}", tokenizer=str(tokenizer_dir), pairs=pairs, workers=workers
            )
        )
        tokenizer = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
        texts = sorted(tokenizer.decode(ids) for _, _, ids, _ in documents(out))
        assert texts == ["where?\nhere", "where?\nthere", "why?\nbecause"]
        manifest = open_artifact(out).manifest
        assert manifest["rows"] == {"read": 4, "kept": 3, "dropped": {"no-positive": 1}}
        assert manifest["extra"]["files"] == {
            "a.jsonl": {"read": 2, "unused_columns": {"url": 2}},
            "b.jsonl": {"read": 1, "unused_columns": {"neg": 1, "neg_scores": 1}},
        }
        assert f"{pairs[1]}: columns that are not used: neg, neg_scores" in caplog.messages
        caplog.clear()
