"""Tasks of mteb as evaluation sets, and the fields of its model metadata."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conan_data.decontamination import mteb_tasks
from conan_data.decontamination.config import DecontaminateConfig
from conan_data.decontamination.decontaminate import decontaminate
from conan_data.errors import UserError
from tests.conan_data.decontamination.test_decontaminate import EVALUATION, lines

mteb = pytest.importorskip("mteb")
datasets = pytest.importorskip("datasets")
QUERY = EVALUATION["queries"]["e1"]
REVISION = "b0fddb56ed78048fa8b90373c8a3cfc37b684831"


def task(dataset: dict[str, Any], **columns: Any) -> SimpleNamespace:
    metadata = SimpleNamespace(
        name="Task", eval_splits=["test"], dataset={"path": "mteb/task", "revision": REVISION}
    )
    return SimpleNamespace(
        metadata=metadata, hf_subsets=["default"], dataset=dataset, load_data=lambda: None, **columns
    )


RETRIEVAL = task(
    {
        "default": {
            "test": {
                "queries": datasets.Dataset.from_list([{"id": "e1", "text": QUERY}]),
                "corpus": datasets.Dataset.from_list(
                    [{"id": "d1", "title": "", "text": EVALUATION["corpus"]["d1"]}]
                ),
                "relevant_docs": {"e1": {"d1": 1}},
            }
        }
    }
)
SENTENCES = task(
    {"test": datasets.Dataset.from_list([{"sentence1": QUERY, "sentence2": EVALUATION["corpus"]["d1"]}])},
    column_names=("sentence1", "sentence2"),
)
LABELLED = task(
    {"default": {"test": datasets.Dataset.from_list([{"text": QUERY, "label": 1}])}}, input_column_name="text"
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [(RETRIEVAL, "query"), (SENTENCES, "judgement"), (LABELLED, "query")],
    ids=["retrieval", "sts", "classification"],
)
def test_the_test_data_of_a_task_are_found(
    found: SimpleNamespace, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mteb, "get_task", lambda name: found)
    rows = [
        {"sentence1": QUERY.upper(), "sentence2": EVALUATION["corpus"]["d1"], "score": 1},
        {
            "sentence1": "who was the keeper of the garden",
            "sentence2": "a keeper of gardens was he",
            "score": 1,
        },
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values: dict[str, Any] = {"set": str(tmp_path / "pairs.jsonl"), "against": ("Task",)}
    out = decontaminate(DecontaminateConfig(out=tmp_path / "out", **values))
    assert {row["reason"] for row in lines(out / "removed.jsonl")} >= {expected}
    assert json.loads((out / "manifest.json").read_text())["inputs"][-1]["revision"] == REVISION
    metadata = json.loads((out / "mteb.json").read_text())
    assert metadata["training_datasets"] == []
    kept = decontaminate(DecontaminateConfig(out=tmp_path / "kept", report_only=True, trained_on=("STSBenchmark",), **values))  # fmt: skip
    metadata = json.loads((kept / "mteb.json").read_text())
    assert metadata["training_datasets"] == ["STSBenchmark", "Task"]
    assert metadata["by_task"]["Task"]["reason"] == "holds test texts of the task"


def test_mteb_takes_the_fields_as_they_are() -> None:
    from mteb.models.model_meta import ModelMeta

    meta = ModelMeta.create_empty(overwrites={"training_datasets": {"STSBenchmark"}})
    assert meta.is_zero_shot_on(["STSBenchmark"]) is False and meta.is_zero_shot_on(["NQ"]) is True


def test_a_task_without_data_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_data() -> None:
        raise ConnectionError("Couldn't reach 'mteb/x' on the Hub (OfflineModeIsEnabled)\nmore")

    broken = task({})
    broken.load_data = load_data
    monkeypatch.setattr(mteb, "get_task", lambda name: broken)
    with pytest.raises(UserError, match=r"against: Task: mteb cannot load its data \(Couldn't reach"):
        mteb_tasks.task_texts("Task", "")


def test_a_split_that_a_task_lacks_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mteb, "get_task", lambda name: LABELLED)
    with pytest.raises(UserError, match="has no texts in prod"):
        mteb_tasks.task_texts("Task", "prod")
