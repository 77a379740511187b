"""STS and classification end to end, on planted vectors and against the libraries' own numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.pairs.labelled import read_labels
from conan_data.pairs.scored import read_scored
from conan_train.evaluation import evaluate as command
from conan_train.evaluation.classification import accuracy_and_f1, draw, score_classification
from conan_train.evaluation.config import (
    ClassificationEvaluationConfig,
    EvaluateConfig,
    StsEvaluationConfig,
)
from conan_train.evaluation.sts import score_sts, spearman
from conan_train.evaluation.vectors import cuts
from conan_train.report.report import render
from conan_train.results import Scores


class Letters:
    """Vectors are counts of letters: a text is near those that use the same ones."""

    fingerprint = "letters"
    dimension = 26

    def encode(self, texts, *, kind):
        assert len(set(texts)) == len(texts), "a text is encoded twice"
        counts = np.array(
            [[text.count(chr(97 + code)) + 0.01 for code in range(26)] for text in texts], np.float32
        )
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture
def sts(tmp_path):
    rows = ["aab,aab,5", "aab,aac,4", "aab,add,2", "aab,xyz,0", "klm,klm,5", "klm,klx,3", "klm,abc,1"]
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def labelled(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("train", "test"):
        rows = ["text,label"]
        for label, letters in (("1", "abc"), ("2", "klm"), ("3", "xyz")):
            rows += ["".join(rng.choice(list(letters + "q"), 9)) + f",{label}" for _ in range(12)]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "train.csv", tmp_path / "test.csv"


def test_spearman_is_scipys_ties_included():
    rng = np.random.default_rng(0)
    first, second = rng.integers(6, size=(2, 5, 40)).astype(float)
    expected = [stats.spearmanr(one, two).statistic for one, two in zip(first, second)]
    np.testing.assert_allclose(spearman(first, second), expected)
    assert np.isnan(spearman(np.ones(3), np.arange(3.0)))


def test_accuracy_and_macro_f1_are_scikit_learns():
    rng = np.random.default_rng(1)
    truth, given = rng.integers(5, size=60), rng.integers(5, size=(3, 60))
    accuracy = np.mean([accuracy_score(truth, one) for one in given])
    f1 = np.mean([f1_score(truth, one, average="macro") for one in given])
    np.testing.assert_allclose(accuracy_and_f1(given, truth, 5), [accuracy, f1])


def test_a_draw_has_as_many_of_each_label_and_experiments_differ():
    labels = np.repeat([0, 1, 2], [20, 10, 2])
    one, two = (draw(labels, 4, seed=[0, number]) for number in (0, 1))
    assert np.bincount(labels[one]).tolist() == [4, 4, 2] and one.tolist() != two.tolist()
    assert draw(labels, 0, seed=[0, 0]).tolist() == list(range(32))


def test_cosine_not_dot_product_orders_pairs_that_are_cut(sts):
    pairs = read_scored([str(sts)])
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(pairs.texts.num_rows, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = score_sts(pairs, list(cuts(vectors, (3, 8))), num_samples=0, seed=0)["groups"][0]["spearman"]
    for size, score in found.items():
        cut = vectors[:, : int(size)].astype(np.float64)
        cut /= np.linalg.norm(cut, axis=1, keepdims=True)
        cosines = (cut[pairs.first] * cut[pairs.second]).sum(1).round(6)
        assert score["value"] == pytest.approx(stats.spearmanr(cosines, pairs.scores).statistic)
        assert score["low"] is None
    assert list(found) == ["8", "3"]


def test_labels_that_tell_nothing_are_scored_as_chance(labelled):
    train, test = (read_labels([str(path)]) for path in labelled)
    shuffled = replace(test, labels=np.random.default_rng(0).permutation(test.labels).tolist())
    vectors = [Letters().encode(list(dict.fromkeys(part.texts)), kind="query") for part in (train, test)]
    own = ClassificationEvaluationConfig(train=("a",), test=("b",))
    right, wrong = (
        score_classification(train, part, [(26, *vectors)], own, num_samples=200, seed=1)["scores"]["26"]
        for part in (test, shuffled)
    )
    assert right["accuracy"]["value"] > 0.95 > 0.6 > wrong["accuracy"]["value"]
    assert wrong["accuracy"]["low"] < wrong["accuracy"]["value"] < wrong["accuracy"]["high"]
    assert wrong["macro_f1"]["low"] < wrong["macro_f1"]["value"] < wrong["macro_f1"]["high"]


@pytest.mark.parametrize("probe", ["logistic", "knn"])
def test_one_artifact_holds_all_tasks_and_the_report_shows_them(
    sts, labelled, beir, tmp_path, monkeypatch, probe
):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr(command, "open_encoder", lambda model, config: Letters())
    train, test = labelled
    options = {
        "model": str(folder), "data": str(beir), "min_queries": 1, "bootstrap": 50, "dims": (8,), "device": "cpu",
        "sts": StsEvaluationConfig(data=(str(sts),)),
        "classification": ClassificationEvaluationConfig(train=(str(train),), test=(str(test),), probe=probe),
    }  # fmt: skip
    made = [command.evaluate(EvaluateConfig(out=tmp_path / name, **options)) for name in ("one", "two")]
    opened = artifact.open_artifact(made[0], kind="evaluation")
    assert opened.manifest_hash == artifact.open_artifact(made[1]).manifest_hash
    assert opened.rows.read == 8 + 7 + 2 * 36
    scores = json.loads((made[0] / "scores.json").read_text())
    assert scores["cuts"]["8"]["mixed"] != scores["mixed"] and scores["mixed"]["num_queries"] > 0
    assert scores["sts"]["mean"]["26"] > 0.9 and set(scores["sts"]["mean"]) == {"26", "8"}
    assert scores["classification"]["scores"]["26"]["accuracy"]["value"] > 0.9
    printed = Scores.open(made[0]).text
    assert "Spearman" in printed and "macro F1" in printed and "cut to 8 dimensions" in printed
    page = render([opened], title="t")
    assert "Semantic textual similarity" in page and "pairs.csv" in page and "macro F1" in page
    alone = command.evaluate(EvaluateConfig(out=tmp_path / "three", **{**options, "data": ""}))
    assert not (alone / "queries.parquet").exists()
    assert "Retrieval" not in render([artifact.open_artifact(alone)], title="t")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sts": StsEvaluationConfig(data=("a.csv",))}, "sts.data: bm25 has no vectors"),
        ({"dims": (8,)}, "dims: bm25 has no vectors"),
        ({"data": ""}, "data: name a retrieval set, or files"),
    ],
)
def test_what_does_not_go_together_is_one_line(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        EvaluateConfig(**{"out": tmp_path, "model": "bm25", "data": "sample", **options})


def test_a_label_that_train_does_not_have_is_refused(labelled):
    train, test = (read_labels([str(path)]) for path in labelled)
    test.labels[3] = "new"
    own = ClassificationEvaluationConfig(train=("a",), test=("b",))
    with pytest.raises(UserError, match="label 'new' is not in classification.train"):
        score_classification(train, test, [], own, num_samples=0, seed=0)
