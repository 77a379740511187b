import os
import random

import pytest
from datatrove.data import Document
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from conan_data import artifact
from conan_data.config import StageConfig
from conan_data.corpus import tokenizer
from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.documents import Dropped
from conan_data.corpus.steps.tokens import BLOCK, CountTokens
from conan_data.errors import UserError

WORDS = [
    "the",
    "cat",
    "and",
    "dog",
    "were",
    "walking",
    "through",
    "an",
    "old",
    "garden",
    "while",
    "children",
    "played",
    "今天我们去公园",
    "散步",
    "2024",
    "don't",
]


def prose(rng, num_words):
    return "".join(
        rng.choice(WORDS) + rng.choice((" ", " ", "\n", "  ", ", ", "\n\n")) for _ in range(num_words)
    )


def trained(kind):
    rng = random.Random(0)
    made = Tokenizer(models.BPE())
    if kind == "byte-level":
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        made.normalizer = normalizers.NFKC()
        made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=400, show_progress=False, special_tokens=["<s>"])
    made.train_from_iterator([prose(rng, 200) for _ in range(20)], trainer)
    return made


@pytest.fixture(scope="module", params=["byte-level", "metaspace"])
def file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made = trained(request.param)
    # What a tokenizer of a model often brings along, and what must not count.
    made.enable_truncation(16)
    made.enable_padding(length=64)
    made.save(str(path))
    return path


def plain_count(file, text):
    made = Tokenizer.from_file(str(file))
    made.no_truncation()
    made.no_padding()
    return len(made.encode(text, add_special_tokens=False).ids)


def test_counts_are_those_of_one_text_at_a_time(file):
    rng = random.Random(1)
    texts = ["", "a", *(prose(rng, rng.randrange(1, 80)) for _ in range(300))]
    counts = tokenizer.count_tokens(tokenizer.load(file), texts)
    assert counts == [plain_count(file, text) for text in texts]
    assert counts[0] == 0 and max(counts) > 64


def test_long_texts_are_cut_where_it_changes_nothing(file, monkeypatch):
    monkeypatch.setattr(tokenizer, "PIECE", 50)
    monkeypatch.setattr(tokenizer, "LONGEST_PIECE", 200)
    monkeypatch.setattr(tokenizer, "BATCH", 170)
    rng = random.Random(2)
    texts = [prose(rng, 400), "short", prose(rng, 900)]
    assert len(list(tokenizer.pieces(texts[0]))) > 10
    assert tokenizer.count_tokens(tokenizer.load(file), texts) == [plain_count(file, text) for text in texts]


def test_pieces_are_bounded_and_lose_nothing(monkeypatch):
    monkeypatch.setattr(tokenizer, "PIECE", 10)
    monkeypatch.setattr(tokenizer, "LONGEST_PIECE", 20)
    for text in ("x" * 95, "ab " * 40, "a" + " " * 50, "", "今天我们去公园" * 9, "x" * 20 + " y"):
        found = list(tokenizer.pieces(text))
        assert "".join(found) == text and max(map(len, found)) <= 30


def test_the_step_counts_what_is_still_in_and_keeps_the_order(file):
    rng = random.Random(3)
    documents = [Document(text=prose(rng, 12), id=f"d{number}") for number in range(BLOCK + 30)]
    for document in documents[::7]:
        document.metadata["dropped"] = Dropped("rules", "too-short")
    passed = list(CountTokens(str(file), parallel=True).run(iter(documents)))
    assert [document.id for document in passed] == [f"d{number}" for number in range(BLOCK + 30)]
    assert all("tokens" not in document.metadata for document in passed[::7])
    assert passed[BLOCK + 1].metadata["tokens"] == plain_count(file, passed[BLOCK + 1].text)


def test_workers_do_not_start_threads_of_their_own(file, monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    list(CountTokens(str(file), parallel=True).run(iter([])))
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"
    list(CountTokens(str(file), parallel=False).run(iter([])))
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"


def test_where_a_tokenizer_may_lie(file, tmp_path):
    assert tokenizer.find(str(file)) == file == tokenizer.find(str(file.parent))
    with pytest.raises(UserError, match="has no tokenizer.json"):
        tokenizer.find(str(tmp_path))
    with pytest.raises(UserError, match=r"no such file or folder, got '/no/where/at/all'"):
        tokenizer.find("/no/where/at/all")
    made = StageConfig(out=tmp_path / "corpus")
    with artifact.building(made, kind="corpus", command="make-corpus", inputs=[]) as build:
        build.publish(rows=artifact.Rows(read=0, kept=0))
    with pytest.raises(UserError, match="holds a corpus, not a tokenizer"):
        tokenizer.find(str(tmp_path / "corpus"))


@pytest.mark.parametrize("content", ["{torn", "[]", '{"version": "1.0"}'])
def test_what_is_no_tokenizer_is_refused(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=r"tokenizer: .*tokenizer\.json is"):
        tokenizer.load(tmp_path / "tokenizer.json")


def test_a_corpus_says_its_tokens_and_notices_another_tokenizer(file, tmp_path):
    rows = [
        f'{{"id": "{n}", "text": "The children walk through garden {n} of the old house."}}' for n in (1, 2)
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(rows) + "\n")
    copy = tmp_path / "tokenizer.json"
    copy.write_bytes(file.read_bytes())
    config = BuildCorpusConfig(
        input=(str(tmp_path / "in.jsonl"),), languages=("en",), tokenizer=str(copy), out=tmp_path / "out"
    )
    out = build_corpus(config)
    manifest = artifact.open_artifact(out).manifest
    import pyarrow.parquet as pq

    (shard,) = out.glob("data/en/*.parquet")
    documents = pq.read_table(shard).to_pylist()
    assert [row["tokens"] for row in documents] == [plain_count(file, row["text"]) for row in documents]
    assert manifest["extra"]["tokens"] == {"en": sum(row["tokens"] for row in documents)}
    assert copy.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(UserError, match=r"input .*tokenizer\.json has changed"):
        build_corpus(config)
