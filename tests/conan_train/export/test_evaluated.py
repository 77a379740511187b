"""What was trained, its export and what it started from go through the same evaluation."""

import json

import pytest

from conan_train.evaluation.config import EvaluateConfig
from conan_train.evaluation.evaluate import evaluate
from conan_train.export.config import ExportConfig
from conan_train.export.export import export

ROWS = {"cat": ("en", "cats and dogs"), "ship": ("en", "ships at sea"), "hund": ("de", "Hunde und Katzen")}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    documents = [{"_id": key, "title": "", "text": text, "lang": lang} for key, (lang, text) in ROWS.items()]
    queries = [
        {"_id": f"q-{key}", "text": f"about {text}", "lang": lang} for key, (lang, text) in ROWS.items()
    ]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.dev.jsonl").write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
        )
    (folder / "qrels.dev.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q-{key}\t{key}\t1\n" for key in ROWS), encoding="utf-8"
    )
    return folder


def scores(model, data, out, **options):
    path = evaluate(
        EvaluateConfig(
            model=str(model), data=str(data), min_queries=1, bootstrap=0, device="cpu", out=out, **options
        )
    )
    return json.loads((path / "scores.json").read_text(encoding="utf-8"))


def test_embedder_and_export_are_the_same_model(make_embedder, data, tmp_path):
    trained = make_embedder()
    exported = export(ExportConfig(model=str(trained), out=tmp_path / "exported"))
    one, other = scores(trained, data, tmp_path / "one"), scores(exported, data, tmp_path / "other")
    assert (one["model_kind"], other["model_kind"]) == ("embedder", "sentence-transformers")
    assert one["fingerprint"] == other["fingerprint"] and one["pairs"] == other["pairs"]


def test_plain_sentence_transformers_folder(make_embedder, data, tmp_path):
    exported = export(ExportConfig(model=str(make_embedder()), out=tmp_path / "exported"))
    for name in ("conan.json", "manifest.json"):
        (exported / name).unlink()
    found = scores(exported, data, tmp_path / "out")
    assert found["model_kind"] == "other"
    assert {pair["num_queries"] for pair in found["pairs"]} == {1, 2}


def test_language_model_is_read_causally(language_model, data, tmp_path):
    found = scores(language_model, data, tmp_path / "plain")
    prompted = scores(language_model, data, tmp_path / "prompted", query_prompt="query: ", max_length=16)
    assert found["model_kind"] == "language-model"
    assert found["fingerprint"] != prompted["fingerprint"]
