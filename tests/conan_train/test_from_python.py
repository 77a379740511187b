"""The README's lines of Python, run as they stand; and what their results show, beside what the artifacts hold."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from conan_data.manifest import Rows
from conan_data.results import Classifier, Corpus, Negatives, Result, RetrievalSet
from conan_train import run_recipe
from conan_train.results import Comparison, Model, Scores, Tokenizer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `runs/py` that the lines of the README leave."""
    folder = tmp_path_factory.mktemp("readme")
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in block.splitlines() if line and "import" not in line]) <= 10
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "characters" in done.stdout and "ndcg@10" in done.stdout
    assert "INFO" not in done.stderr and "queries_per_second" not in done.stderr
    return folder / "runs" / "py"


def test_rows_and_drops_are_those_of_the_manifest(runs: Path) -> None:
    corpus = Corpus.open(runs / "corpus")
    manifest = json.loads((runs / "corpus" / "manifest.json").read_text())
    assert corpus.rows == Rows(**manifest["rows"]) and corpus.kind == "corpus"
    assert corpus.drops["rows"].sum() == corpus.rows.read - corpus.rows.kept > 0
    kept = dict(corpus.languages.filter(pl.col("kept") > 0).select("language", "kept").iter_rows())
    assert kept == manifest["extra"]["kept"]
    assert corpus.page == runs / "corpus" / "report.html" and "<table>" in corpus._repr_html_()


def test_the_tables_of_data(runs: Path) -> None:
    assert Tokenizer.open(runs / "words").fertility["language"].to_list() == ["de", "en"]
    asked = dict(RetrievalSet.open(runs / "train").languages.select("language", "queries").iter_rows())
    assert asked["de"] + asked["en"] == RetrievalSet.open(runs / "train").rows.kept
    negatives = Negatives.open(runs / "mined")
    pools = pq.read_table(runs / "mined" / "negatives.parquet")["pool"].to_pylist()
    taken = negatives.candidates.filter(pl.col("outcome") == "kept:rank")["number"].item()
    assert taken == sum(map(len, pools)) and negatives.candidates["share"].sum() == pytest.approx(1)


def test_curves_are_those_of_the_log(runs: Path) -> None:
    model = Model.open(runs / "model")
    log = [json.loads(line) for line in (runs / "model" / "train_log.jsonl").read_text().splitlines()]
    steps = [line for line in log if line["event"] == "step"]
    assert model.curves["step"].to_list() == [line["step"] for line in steps]
    assert model.curves["loss"].to_list() == [line["loss"] for line in steps]
    shown = model._repr_html_()
    assert shown.count("<svg") == len(model.figures()) > 0 and "Loss" in shown
    assert Model.open(runs / "start").curves.is_empty() and not Model.open(runs / "start").figures()


def test_scores_and_differences_are_those_of_the_queries(runs: Path) -> None:
    scores = Scores.open(runs / "model-scores")
    queries = pl.read_parquet(runs / "model-scores" / "queries.parquet")
    for language in ("en", "de"):
        own = queries.filter(
            (pl.col("query_language") == language) & (pl.col("document_language") == language)
        )
        row = scores.scores.row(by_predicate=pl.col("pool") == f"{language} -> {language}", named=True)
        assert row["ndcg@10"] == pytest.approx(np.mean(own["ndcg@10"].to_numpy()))
        assert row["ndcg@10_low"] <= row["ndcg@10"] <= row["ndcg@10_high"] and row["num_queries"] == len(own)
    assert scores.sts.is_empty() and scores.classification.is_empty()
    assert "language-pairs" in str(scores) and "nDCG@10 in %" in scores._repr_html_()
    differences = Comparison.open(runs / "better").differences
    before = Scores.open(runs / "start-scores").scores
    joined = differences.filter(pl.col("metric") == "ndcg@10").join(before, on="pool")
    assert len(joined) > 4 and joined["baseline"].to_list() == pytest.approx(joined["ndcg@10"].to_list())


def test_a_recipe_gives_the_results_of_its_stages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"root: {tmp_path}/runs\nbuild-xlr: {{data: sample, mix: {{en: 1, de: 1}}}}\n"
        "scores: {command: evaluate, model: bm25, data: '${root}/build-xlr', split: train, bootstrap: 0}\n"
    )
    plan = run_recipe(recipe=recipe, dry_run=True)
    assert "build-xlr" in str(plan) and not plan.stages and not (tmp_path / "runs").exists()
    run = run_recipe(recipe=recipe)
    assert list(run.stages) == ["build-xlr", "scores"] and isinstance(run["build-xlr"], RetrievalSet)
    assert run["scores"].scores["ndcg@10"].max() > 0.5 and "same language, ndcg@10" in run.summary
    assert "<pre>" in run._repr_html_() and capsys.readouterr().out == ""


def test_what_artifacts_hold_is_escaped(tmp_path: Path) -> None:
    manifest = {
        "files": [],
        "rows": {"read": 2, "kept": 1, "dropped": {"<script>": 1}},
        "extra": {"overall": {"threshold": 0.5, "precision": {"value": 0.9, "low": 0.8, "high": 1.0}}, "languages": {"<b>": {}}},
    }  # fmt: skip
    result = Classifier(tmp_path / "<i>\x1b", "classifier", Rows(2, 1, {"<script>": 1}), manifest)
    html = result._repr_html_()
    for word in ("<script>", "<b>", "<i>", "\x1b"):
        assert word not in html.replace("<b>Classifier</b>", ""), word
    assert "&lt;script&gt;" in html and "&lt;b&gt;" in html and "0.900" in html


def test_a_long_table_is_cut(tmp_path: Path) -> None:
    dropped = {f"reason-{number}": 1 for number in range(100)}
    result = Result(tmp_path, "corpus", Rows(100, 0, dropped), {"files": []})
    assert (
        "and 60 more rows" in result._repr_html_()
        and "reason-99" not in result.tables()["dropped"][:40]["reason"]
    )
