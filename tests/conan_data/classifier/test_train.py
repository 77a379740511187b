import json
import random
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conan_data import artifact
from conan_data.classifier import fit
from conan_data.classifier.config import FastTextConfig, TrainClassifierConfig
from conan_data.classifier.examples import PARTS, part_of, read_examples
from conan_data.classifier.model import Classifier
from conan_data.classifier.train import train_classifier
from conan_data.errors import UserError


def report_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("quantise", [False, True])
def test_a_model_that_a_full_disk_cuts_off_is_not_published(offers: Any, quantise: bool) -> None:
    options = {"fasttext": FastTextConfig(buckets=5000, quantise=quantise)}
    source = offers.write("a.jsonl", offers.rows(400))
    whole = train_classifier(offers.config(source, **options, out=offers.folder / "whole"))
    size = (whole / fit.MODEL_FILES[quantise]).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 8, hard))
    try:
        with pytest.raises(UserError, match=r"No space left on device; make room"):
            train_classifier(offers.config(source, **options))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (offers.folder / "classifier").exists()
    again = train_classifier(offers.config(source, **options))
    assert (again / "manifest.json").read_bytes() == (whole / "manifest.json").read_bytes()


def test_learns_and_accounts_for_every_row(offers: Any) -> None:
    bad = [{"text": None, "label": "offer"}, {"text": "no label here"}, {"text": " ", "label": "prose"}]
    rows = offers.rows(400)
    out = train_classifier(offers.config(offers.write("a.jsonl", [*rows, *bad, rows[0], rows[0]])))
    opened = artifact.open_artifact(out, kind="classifier")
    assert opened.rows.read == 405
    assert opened.rows.dropped == {"no-text": 1, "no-label": 1, "empty-text": 1, "duplicate": 2}
    found = report_of(out)
    assert sum(found["parts"][part]["texts"] for part in PARTS) == opened.rows.kept == 400
    assert found["overall"]["texts"] == found["parts"]["report"]["texts"]
    assert found["overall"]["average_precision"] > 0.95
    assert found["overall"]["precision"]["low"] < found["overall"]["precision"]["value"]
    assert opened.manifest["extra"]["labels"]["offer"] > 100
    classifier, rng = Classifier.open(out), random.Random(99)
    scores = classifier.scores([offers.text(rng, offer=number % 2 == 0) for number in range(20)])
    assert scores[::2].min() > scores[1::2].max()
    assert classifier.scores(["", "\n"]).shape == (2,) and classifier.scores([]).shape == (0,)


def test_figures_are_those_of_the_published_model(offers: Any) -> None:
    """The report is computed again from the artifact and the inputs."""
    config = offers.config(offers.write("a.jsonl", offers.rows(600, wrong=0.15)))
    out = train_classifier(config)
    held_out = read_examples(config).parts["report"]
    classifier = Classifier.open(out)
    scores = classifier.scores([example.line for example in held_out])
    positive = np.array([example.positive for example in held_out])
    taken = scores >= classifier.threshold
    found = report_of(out)["overall"]
    assert 0 < taken.sum() < len(taken)
    assert (found["precision"]["part"], found["precision"]["whole"]) == (
        (taken & positive).sum(),
        taken.sum(),
    )
    assert found["recall"]["whole"] == positive.sum()


def test_wrong_labels_show_in_the_report(offers: Any) -> None:
    """Labels that are noise cannot be learnt: a report that says otherwise has seen its texts in training."""
    found = report_of(train_classifier(offers.config(offers.write("a.jsonl", offers.rows(800, wrong=0.5)))))
    assert found["overall"]["average_precision"] < 0.65


@pytest.mark.parametrize("quantise", [False, True])
def test_same_bytes_again(offers: Any, tmp_path: Path, quantise: bool) -> None:
    source = offers.write("a.jsonl", offers.rows(400))
    # Quantising takes at least 256 rows of the matrix.
    options = {"fasttext": FastTextConfig(buckets=5000, quantise=quantise)}
    first = train_classifier(offers.config(source, out=tmp_path / "first", **options))
    # Memory that was used and freed, as in a process that did something else before.
    for _ in range(3):
        np.full(1_000_000, np.nan, dtype=np.float32)
        [np.full(size, np.nan, dtype=np.float32) for size in (20_000, 80_000, 90_000, 100_000) * 4]
    second = train_classifier(offers.config(source, out=tmp_path / "second", **options))
    name = "model.ftz" if quantise else "model.bin"
    assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()
    assert np.isfinite(Classifier.open(first).scores(["buy cheap offer", "history of the river"])).all()


def test_a_c_library_that_cannot_be_told_to_clear_memory_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def open_library(name: str | None) -> object:
        asked.append(name)
        return object()

    monkeypatch.setattr("conan_data.classifier.fit.ctypes.CDLL", open_library)
    with fit.cleared_memory():
        assert asked == [None]


def test_languages_get_thresholds_of_their_own(offers: Any) -> None:
    rows = offers.rows(600, langs=("en", "zh")) + offers.rows(640)[600:]
    for row in rows[600:]:
        row["metadata"]["lang"] = "de"
    config = offers.config(
        offers.write("a.jsonl", rows), lang_field="metadata.lang", min_held_out=20, target="recall"
    )
    out = train_classifier(config)
    thresholds, found = json.loads((out / "thresholds.json").read_text()), report_of(out)
    assert set(thresholds["languages"]) == {"en", "zh"}
    assert found["languages"]["de"]["own_threshold"] is False
    assert found["languages"]["zh"]["own_threshold"] is True
    assert found["languages"]["zh"]["recall"]["value"] > 0.7
    assert "| de |" in (out / "README.md").read_text() and " \\* |" in (out / "README.md").read_text()
    classifier = Classifier.open(out)
    assert classifier.threshold_of("de") == classifier.threshold == thresholds["overall"]
    assert classifier.threshold_of("zh") == thresholds["languages"]["zh"]


def test_two_inputs_instead_of_labels(offers: Any) -> None:
    rows = offers.rows(300)
    files = {
        name: offers.write(f"{name}.jsonl", [{"body": row["text"]} for row in rows if row["label"] == name])
        for name in ("offer", "prose")
    }
    config = TrainClassifierConfig(
        out=offers.folder / "out",
        positive=(str(files["offer"]),),
        negative=(str(files["prose"]),),
        text_field="body",
        held_out=0.4,
    )
    assert report_of(train_classifier(config))["overall"]["average_precision"] > 0.95


def test_near_copies_are_in_one_part() -> None:
    rng = random.Random(0)
    parts = set()
    for _ in range(200):
        words = [str(rng.random()) for _ in range(5)]
        same = {
            part_of(text, held_out=0.6, seed=3)
            for text in (" ".join(words), ", ".join(words), f"{' '.join(words)} !")
        }
        assert len(same) == 1
        parts |= same
    assert parts == set(PARTS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"positive_labels": ("spam",)}, "no row has the label 'spam' .the 2 labels: "),
        ({"positive_labels": ("offer", "prose")}, "names every label"),
        ({"label_field": "kind"}, "label_field: no row of .* 'kind'"),
        ({"text_field": "body"}, "text_field: no row of .* 'body'"),
        ({"lang_field": "language"}, "lang_field: no row of .* 'language'"),
        ({"held_out": 0.01}, "texts in the part 'tune', at least 5 are needed"),
    ],
)
def test_what_cannot_be_trained_from_is_said(offers: Any, fields: dict[str, Any], message: str) -> None:
    source = offers.write("a.jsonl", offers.rows(100))
    with pytest.raises(UserError, match=message):
        train_classifier(offers.config(source, **fields))
    assert not (offers.folder / "classifier").exists()


def test_config_says_which_inputs_go_together() -> None:
    with pytest.raises(UserError, match="positive: name at least one"):
        TrainClassifierConfig(out=Path("x"), negative=("a",))
    with pytest.raises(UserError, match="positive_labels: name the labels"):
        TrainClassifierConfig(out=Path("x"), input=("a",))
    with pytest.raises(UserError, match="input: takes the place"):
        TrainClassifierConfig(out=Path("x"), input=("a",), positive=("b",), positive_labels=("c",))
