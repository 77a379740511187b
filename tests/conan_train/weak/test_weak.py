"""What data name as negatives is trained on beside the other pairs of a step, and nothing else is said to be."""

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from conan_data.artifact import open_artifact
from conan_train.embedding.objective import EmbeddingObjective
from conan_train.optim.config import OptimConfig
from conan_train.step.contrastive import NO_NEGATIVE
from conan_train.trainlog import NAME, read_log
from conan_train.weak.config import WeakConfig
from conan_train.weak.train import weak
from tests.conan_train.finetune.test_finetune import weights, write_model

TOPICS = ("tide", "bread", "chess", "paper", "honey", "glass")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model")


def write_pairs(path: Path, *, with_negatives: bool = True) -> Path:
    """Every query names as wrong: nothing (tide), the answer to another query and two texts that answer none."""
    rows = []
    for place, topic in enumerate(TOPICS):
        row: dict[str, Any] = {"query": f"what is {topic}", "pos": [f"{topic} is a word"]}
        if with_negatives and place:
            row["neg"] = [f"{TOPICS[place - 1]} is a word", f"no {topic}", f"not a {topic}"]
        rows.append(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def config_for(out: Path, pairs: Path, model: Path, **values: Any) -> WeakConfig:
    return WeakConfig(**{
        "out": out, "data": (str(pairs),), "model": str(model), "steps": 4, "batch_size": 3, "max_length": 24, "bucket_tokens": 128,
        "device": "cpu", "threads": 1, "log_every": 1, "optim": OptimConfig(lr=1e-3),
    } | values)  # fmt: skip


def test_named_negatives_are_those_of_their_query(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: dict[str, set[str]] = {}
    parts_of = EmbeddingObjective._parts

    def parts(self: EmbeddingObjective, step: int) -> Any:
        found = parts_of(self, step)
        for part in found:
            data, batch = part.task.task.pairs.data, part.step.batch
            texts = data.corpus.column("text").take(batch.document_rows).to_pylist()
            queries = data.queries.column("text").take(part.query_B).to_pylist()
            for query, own in zip(queries, batch.negatives.tolist(), strict=True):
                seen.setdefault(query, set()).update(texts[place] for place in own if place != NO_NEGATIVE)
        return found

    monkeypatch.setattr(EmbeddingObjective, "_parts", parts)
    caplog.set_level(logging.INFO)
    out = weak(config_for(tmp_path / "out", write_pairs(tmp_path / "pairs.jsonl"), model, num_negatives=2))
    assert set(seen) == {f"what is {topic}" for topic in TOPICS} and seen["what is tide"] == set()
    for before, topic in itertools.pairwise(TOPICS):
        named = {f"{before} is a word", f"no {topic}", f"not a {topic}"}
        assert len(seen[f"what is {topic}"]) == 2 and seen[f"what is {topic}"] < named
    assert any("10 of the 15 negatives that the data name for 5 of 6 queries" in m for m in caplog.messages)
    lines = [line for line in read_log(out / NAME) if line["event"] == "step"]
    assert all(isinstance(line["negative_score"], float) for line in lines)
    assert not any("replaced" in line for line in lines), "there is no rule that could replace any"


def test_without_named_negatives_the_other_pairs_are_all(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with_them, without = (
        write_pairs(tmp_path / f"{name}.jsonl", with_negatives=name == "with") for name in ("with", "without")
    )
    caplog.set_level(logging.INFO)
    plain = weights(weak(config_for(tmp_path / "plain", without, model)))
    assert not any("negatives that the data name" in message for message in caplog.messages)
    switched_off = weights(weak(config_for(tmp_path / "off", with_them, model, num_negatives=0)))
    trained = weights(weak(config_for(tmp_path / "trained", with_them, model)))
    assert all(torch.equal(tensor, plain[name]) for name, tensor in switched_off.items())
    assert any(not torch.equal(tensor, plain[name]) for name, tensor in trained.items())


def test_labels_and_unused_columns_of_training_files(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        {"sentence1": f"what is {topic}", "sentence2": text, "label": label, "id": 7}
        for topic in TOPICS
        for text, label in ((f"{topic} is a word", 1), (f"no {topic}", "0"))
    ]
    rows.append({"sentence1": "what is left", "sentence2": "nothing", "label": 0})
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"sentence1": "a", "sentence2": "b"}]))
    caplog.set_level(logging.INFO)
    out = weak(config_for(tmp_path / "out", path, model))
    opened = open_artifact(out)
    assert (opened.rows.read, opened.rows.kept) == (14, 12)
    assert opened.rows.dropped == {"no-label": 1, "no-positive": 1}
    extra = opened.manifest["extra"]
    assert extra["files"] == {
        path.name: {"read": 14, "refused": {"no-label": 1}, "unused_columns": {"id": 12}}
    }
    assert extra["dropped_negatives"] == {"query-without-positive": 1}
    assert any("6 of the 6 negatives that the data name for 6 of 6 queries" in m for m in caplog.messages)
    assert f"{path}: 1 of 14 rows are refused (no-label 1)" in caplog.messages
    assert f"{path}: columns that are not used: id" in caplog.messages


def test_a_set_without_negatives_beside_one_that_has_them_is_named(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rich = write_pairs(tmp_path / "rich.jsonl")
    bare = tmp_path / "bare.jsonl"
    bare.write_text(
        "".join(json.dumps({"query": f"why {topic}", "pos": [f"so {topic}"]}) + "\n" for topic in TOPICS)
    )
    weak(config_for(tmp_path / "both", rich, model, data=(str(rich), str(bare)), num_negatives=2))
    said = [line for line in caplog.messages if "has a negative" in line]
    assert len(said) == 1 and "no query of bare has a negative" in said[0]
    caplog.clear()
    weak(config_for(tmp_path / "one", rich, model, num_negatives=2))
    assert "has a negative" not in caplog.text
