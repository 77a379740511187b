"""The rules of a protocol that move figures, by right values: the query's own document, positives that the corpus
lacks, grades, documents with a title alone, queries without a positive.
"""

import json
import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import pytrec_eval

from conan_data import artifact
from conan_data.retrieval import read_retrieval
from conan_data.xlr.build import build_xlr
from conan_data.xlr.config import BuildXlrConfig, ChecksConfig
from conan_data.xlr.translators_config import TableConfig
from conan_train.evaluation.config import EvaluateConfig
from conan_train.evaluation.evaluate import evaluate
from conan_train.evaluation.evaluation_set import evaluation_set, mixed_pool
from conan_train.evaluation.metrics import METRICS
from conan_train.evaluation.retrieval import score_pools
from conan_train.results import Scores

DOCUMENTS = [
    ("d1", "", "Paris is the capital of France."),
    ("d2", "", "Berlin is the capital of Germany."),
    ("d3", "", "The cell makes energy."),
]
QUERIES = [("q1", "capital of france"), ("q2", "capital of germany"), ("q3", "energy in a cell")]


def write(root: Path, judged: list[tuple[str, str, str]], documents=DOCUMENTS, queries=QUERIES) -> str:
    (root / "qrels").mkdir(parents=True)
    for name, rows in (
        ("corpus", [{"_id": key, "title": title, "text": text} for key, title, text in documents]),
        ("queries", [{"_id": key, "text": text} for key, text in queries]),
    ):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(row) for row in judged)]
    (root / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    return str(root)


def run(tmp_path: Path, data: str, **fields) -> tuple[dict, dict]:
    values = {"model": "bm25", "data": data, "split": "test", "min_queries": 1, "bootstrap": 0, **fields}
    out = evaluate(EvaluateConfig(out=tmp_path / "out", **values))
    return artifact.open_artifact(out).manifest, json.loads((out / "scores.json").read_text())


def ndcg(scores: dict) -> float:
    assert scores["mixed"]["scores"] == scores["pairs"][0]["scores"]
    return round(100 * scores["mixed"]["scores"]["ndcg@10"]["value"], 1)


def test_a_positive_that_the_corpus_lacks_is_missed(tmp_path, caplog):
    data = write(tmp_path / "set", [("q1", "d1", "1"), ("q2", "d99", "1"), ("q3", "d3", "1")])
    manifest, scores = run(tmp_path, data)
    assert ndcg(scores) == 66.7 and scores["mixed"]["num_queries"] == 3
    assert manifest["rows"] == {"read": 3, "kept": 3, "dropped": {}}
    assert manifest["extra"]["absent_positives"] == scores["absent_positives"] == 1
    assert "corpus lacks, which count as missed: 1" in caplog.text
    assert "count as missed, as in trec_eval: 1" in Scores.open(tmp_path / "out").text


def test_a_part_of_the_positives_is_absent_and_the_ideal_ranking_holds_them(tmp_path):
    data = write(tmp_path / "set", [("q1", "d1", "1"), ("q1", "d99", "3"), ("q1", "d98", "0")])
    _, scores = run(tmp_path, data)
    expected = pytrec_eval.RelevanceEvaluator(
        {"q1": {"d1": 1, "d99": 3, "d98": 0}}, {"ndcg_cut.10", "recall.20"}
    ).evaluate({"q1": {"d1": 2.0, "d2": 1.0}})["q1"]
    found = scores["mixed"]["scores"]
    assert found["ndcg@10"]["value"] == pytest.approx(expected["ndcg_cut_10"], abs=1e-12)
    assert found["recall@20"]["value"] == expected["recall_20"] == 0.5
    assert scores["absent_positives"] == 1


def test_with_several_languages_an_absent_positive_counts_in_the_pool_of_all(tmp_path):
    root = Path(write(tmp_path / "set", [("q1", "d1", "1"), ("q1", "d99", "1"), ("q2", "d99", "1")]))
    rows = [{"_id": "d1", "text": DOCUMENTS[0][2], "lang": "en"}, {"_id": "d4", "text": "Brot", "lang": "de"}]
    (root / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, scores = run(tmp_path, str(root))
    (pair,) = scores["pairs"]
    assert (pair["document_language"], pair["num_queries"], pair["num_without_positive"]) == ("en", 1, 1)
    assert pair["scores"]["recall@20"]["value"] == 1.0
    assert scores["mixed"]["num_queries"] == 2 and scores["mixed"]["scores"]["recall@20"]["value"] == 0.25


def test_a_whole_number_is_a_grade_however_it_is_written(tmp_path):
    data = write(tmp_path / "set", [("q1", "d1", "1.0"), ("q2", "d2", "2.0"), ("q3", "d3", "1e0")])
    manifest, scores = run(tmp_path, data)
    assert ndcg(scores) == 100.0 and manifest["extra"]["set"]["qrels"] == {
        "read": 3,
        "kept": 3,
        "dropped": {},
    }


def test_other_grades_are_refused_by_name_and_their_queries_counted(tmp_path, caplog):
    judged = [("q1", "d1", "1"), ("q2", "d2", "0.5"), ("q3", "d3", "nan"), ("q3", "d3", "")]
    manifest, scores = run(tmp_path, write(tmp_path / "set", judged))
    assert scores["mixed"]["num_queries"] == 1
    assert manifest["rows"] == {"read": 3, "kept": 1, "dropped": {"no-positive": 2}}
    assert manifest["extra"]["set"] == {
        "corpus": {"read": 3, "kept": 3, "dropped": {}},
        "queries": {"read": 3, "kept": 1, "dropped": {"no-positive": 2}},
        "qrels": {
            "read": 4,
            "kept": 1,
            "dropped": {"no-score": 1, "score-not-a-number": 1, "score-not-a-whole-number": 1},
        },
    }
    assert (
        "not used: 2 of 3 queries (no-positive 2), 3 of 4 judgements"
        " (no-score 1, score-not-a-number 1, score-not-a-whole-number 1)" in caplog.text
    )


def test_a_title_alone_is_a_document(tmp_path):
    documents = [*DOCUMENTS, ("d4", "Overview of France", "")]
    data = write(tmp_path / "set", [("q1", "d4", "1"), ("q2", "d2", "1")], documents)
    manifest, scores = run(tmp_path, data)
    assert manifest["extra"]["set"]["corpus"] == {"read": 4, "kept": 4, "dropped": {}}
    assert scores["mixed"]["num_documents"] == 4 and scores["mixed"]["scores"]["recall@20"]["value"] == 1.0


def mteb_set(root: Path) -> str:
    import pyarrow as pa

    parts = {
        "corpus": [{"id": key, "title": title, "text": text} for key, title, text in DOCUMENTS],
        "queries": [{"id": key, "text": text} for key, text in QUERIES],
        "qrels": [{"query-id": "q1", "corpus-id": "d1", "score": 1}],
    }
    text = "---\nconfigs:\n"
    for name, rows in parts.items():
        (root / name).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), root / name / "test-00000-of-00001.parquet")
        text += f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {name}/test-*\n"
    (root / "README.md").write_text(text + "---\n")
    return str(root)


def test_a_query_without_a_positive_of_an_mteb_folder_is_counted(tmp_path):
    data = mteb_set(tmp_path / "set")
    manifest, _ = run(tmp_path, data)
    assert manifest["rows"] == {"read": 3, "kept": 1, "dropped": {"no-positive": 2}}
    table = tmp_path / "tr.tsv"
    table.write_text("query_id\tlang\ttext\nq1\tde\tHauptstadt von Frankreich\n")
    out = build_xlr(
        BuildXlrConfig(
            out=tmp_path / "xlr",
            data=data,
            split="test",
            mix={"de": 1},
            table=TableConfig(path=str(table)),
            checks=ChecksConfig(skip=("language",)),
        )
    )
    manifest = artifact.open_artifact(out).manifest
    assert manifest["rows"] == {"read": 3, "kept": 1, "dropped": {"no-positive": 2}}
    assert manifest["extra"]["broken_rows"] == {"queries": {"no-positive": 2}}


# Two duplicate questions: each stands in the corpus under its own id, unlabelled, and scores highest.
SAME_DOCUMENTS = [
    ("q1", "", "how do cats sleep at night"),
    ("a1", "", "how do cats sleep"),
    ("q2", "", "why do dogs bark at the moon"),
    ("b1", "", "why do dogs bark at"),
    ("b2", "", "why do dogs howl"),
]
SAME_QUERIES = [("q1", "how do cats sleep at night"), ("q2", "why do dogs bark at the moon")]


def test_the_document_of_the_querys_own_id_is_left_out_as_in_beir(tmp_path):
    data = write(tmp_path / "set", [("q1", "a1", "1"), ("q2", "b2", "1")], SAME_DOCUMENTS, SAME_QUERIES)
    manifest, scores = run(tmp_path, data)
    # With the own documents the positives stand at places 2 and 3: 56.5.
    assert ndcg(scores) == 81.5
    assert scores["same_id"] == manifest["extra"]["same_id"] == {"queries": 2, "documents": 2}
    assert (
        "ignore_identical_ids" in scores["protocol"]["same_id"]
        and scores["protocol"]["name"] == "language-pairs-2"
    )
    assert manifest["extra"]["rules"]["same_id"] == scores["protocol"]["same_id"]
    assert "left out of their ranking, as in BEIR: 2" in Scores.open(tmp_path / "out").text


def test_of_a_translation_the_sources_id_counts_too(tmp_path):
    root = Path(write(tmp_path / "set", [("q1", "a1", "1"), ("q2", "b2", "1")], SAME_DOCUMENTS, SAME_QUERIES))
    row = {"query_id": "q1", "lang": "de", "text": "how do cats sleep at night"}
    (root / "translations.jsonl").write_text(json.dumps(row) + "\n")
    _, scores = run(tmp_path, str(root), pools="mixed")
    assert scores["same_id"] == {"queries": 3, "documents": 2}
    values = {
        row["query_id"]: row["ndcg@10"]
        for row in pq.read_table(tmp_path / "out" / "queries.parquet").to_pylist()
    }
    assert values["q1"] == values["q1@de"] == 1.0


def test_an_own_document_that_is_judged_relevant_stays(tmp_path):
    data = write(
        tmp_path / "set",
        [("q1", "q1", "1"), ("q2", "q2", "0"), ("q2", "b2", "1")],
        SAME_DOCUMENTS,
        SAME_QUERIES,
    )
    _, scores = run(tmp_path, data)
    assert scores["same_id"] == {"queries": 1, "documents": 1}
    assert ndcg(scores) == 81.5


class Given:
    """Ranks by scores that are given."""

    fingerprint = "given"

    def __init__(self, scores_QD: np.ndarray) -> None:
        self.scores_QD = scores_QD

    def rank(self, queries: np.ndarray, documents: np.ndarray, *, depth: int) -> list[np.ndarray]:
        return [
            documents[np.argsort(-self.scores_QD[query, documents], kind="stable")[:depth]]
            for query in queries
        ]


@pytest.mark.parametrize("seed", range(3))
def test_against_pytrec_eval_as_beir_calls_it(tmp_path, seed):
    """An independent loop: BEIR's removal of equal ids, then pytrec_eval on the whole run with its scores."""
    random.seed(seed)
    documents = [(f"x{place:03d}", "", f"text {place}") for place in range(150)]
    queries = [(f"x{place:03d}" if place % 2 else f"y{place:03d}", f"words {place}") for place in range(40)]
    judged = {}
    for query, _ in queries:
        names = {f"x{random.randrange(200):03d}" for _ in range(random.randint(1, 12))} - {query}
        judged[query] = {name: random.randint(0, 3) for name in names} | {
            f"x{random.randrange(40, 200):03d}": 1
        }
    root = write(
        tmp_path / "set",
        [(query, name, str(score)) for query, own in judged.items() for name, score in own.items()],
        documents,
        queries,
    )
    data = evaluation_set(read_retrieval(root, "test", keep_absent=True), translations=False)
    scores_QD = np.random.default_rng(seed).random((len(queries), len(documents)))
    (found,) = score_pools([mixed_pool(data)], data, Given(scores_QD))

    results = {
        query: dict(zip(data.documents.ids, scores.tolist()))
        for query, scores in zip(data.queries.ids, scores_QD)
    }
    for query, own in results.items():
        own.pop(query, None)
    top = {query: dict(sorted(own.items(), key=lambda item: -item[1])[:10]) for query, own in results.items()}
    evaluator = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.20,100"})
    whole = evaluator.evaluate(results)
    heads = pytrec_eval.RelevanceEvaluator(judged, {"recip_rank"}).evaluate(top)
    expected = [
        [
            whole[query]["ndcg_cut_10"],
            whole[query]["recall_20"],
            whole[query]["recall_100"],
            heads[query]["recip_rank"],
        ]
        for query in data.queries.ids
    ]
    assert METRICS == ("ndcg@10", "recall@20", "recall@100", "mrr@10")
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert any(data.own) and data.num_absent > 10
