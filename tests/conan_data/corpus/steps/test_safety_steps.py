"""Block lists, masking and classifiers inside `build-corpus`."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from conan_data import artifact
from conan_data.classifier.model import Classifier
from conan_data.classifier.train import train_classifier
from conan_data.corpus.build import build_corpus
from conan_data.corpus.classify.config import ClassifyConfig
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.rules.config import RulesConfig
from conan_data.corpus.safety.config import SafetyConfig
from conan_data.corpus.safety.pii import EMAIL, PHONE
from conan_data.errors import UserError


def corpus_rows(offers: Any, num_rows: int) -> list[dict[str, Any]]:
    """Every second text is an offer; every fifth is on a blocked host, every seventh holds an address and a number."""
    rng = random.Random(1)
    rows = []
    for number in range(num_rows):
        text = ". ".join(offers.text(rng, offer=number % 2 == 0) for _ in range(3)) + "."
        if number % 7 == 0:
            text += f" Write to person{number}@mail.org or call 030 1234567{number % 10}."
        host = "www.bad.example" if number % 5 == 0 else "good.example"
        rows.append(
            {"id": f"d{number}", "text": text, "url": f"https://{host}/{number}" if number % 3 else None}
        )
    return rows


def config(offers: Any, name: str, **fields: Any) -> BuildCorpusConfig:
    source = offers.write("corpus.jsonl", corpus_rows(offers, 120))
    rules = RulesConfig(min_prose=0.0)
    values = {"input": (str(source),), "languages": ("en",), "min_lang_score": 0.0, "rules": rules}
    return BuildCorpusConfig(out=offers.folder / name, **(values | fields))


def documents(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out / "data" / "en" / "part-00000.parquet").to_pylist()


def drops(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out / "dropped.parquet").to_pylist()


@pytest.fixture
def classifier(offers: Any) -> Path:
    return train_classifier(offers.config(offers.write("labelled.jsonl", offers.rows(300))))


def test_blocked_hosts_are_dropped_with_their_entry(offers: Any) -> None:
    (offers.folder / "hosts.txt").write_text("bad.example\n")
    safety = SafetyConfig(block_domains=(str(offers.folder / "hosts.txt"),))
    out = build_corpus(config(offers, "out", safety=safety, languages=("en", "de")))
    blocked = [drop for drop in drops(out) if drop["reason"] == "blocked-domain"]
    expected = {f"d{number}" for number in range(120) if number % 5 == 0 and number % 3}
    assert {drop["id"] for drop in blocked} == expected
    assert {(drop["stage"], drop["detail"]) for drop in blocked} == {("safety", "bad.example")}
    assert not list(out.glob("**/*.npy"))


def test_a_changed_list_is_another_job(offers: Any) -> None:
    hosts = offers.folder / "hosts.txt"
    hosts.write_text("bad.example\n")
    job = config(offers, "out", safety=SafetyConfig(block_domains=(str(hosts),)))
    build_corpus(job)
    build_corpus(job)
    hosts.write_text("worse.example\n")
    with pytest.raises(UserError, match=r"input .*hosts.txt has changed"):
        build_corpus(job)


def test_masked_documents_are_kept_and_counted(offers: Any) -> None:
    plain = build_corpus(config(offers, "plain"))
    out = build_corpus(config(offers, "out", safety=SafetyConfig(mask_pii=True), tasks=3))
    before, after = ({row["id"]: row["text"] for row in documents(path)} for path in (plain, out))
    changed = {name for name, text in after.items() if text != before[name]}
    assert before.keys() == after.keys()
    assert changed == {name for name in before if int(name[1:]) % 7 == 0}
    assert all(EMAIL in after[name] and PHONE in after[name] for name in changed)
    num = len(changed)
    assert artifact.open_artifact(out).manifest["extra"]["masked"] == {
        "documents": num,
        "email": num,
        "phone": num,
    }
    assert artifact.open_artifact(plain).manifest["extra"]["masked"] == {}


def test_advertisements_are_dropped_and_all_are_scored(offers: Any, classifier: Path) -> None:
    plain = {row["id"]: row["text"] for row in documents(build_corpus(config(offers, "plain")))}
    out = build_corpus(config(offers, "out", classify=ClassifyConfig(advertisement=str(classifier))))
    opened, kept = Classifier.open(classifier), documents(out)
    dropped = [drop for drop in drops(out) if drop["reason"] == "advertisement"]
    scores = dict(zip(plain, opened.scores(list(plain.values())).tolist(), strict=True))
    assert {drop["id"] for drop in dropped} == {
        name for name, score in scores.items() if score >= opened.threshold
    }
    assert {row["id"]: row["advertisement"] for row in kept} == {
        name: score for name, score in scores.items() if score < opened.threshold
    }
    assert all(drop["stage"] == "quality" for drop in dropped)
    assert all(float(drop["detail"]) == pytest.approx(scores[drop["id"]], abs=1e-4) for drop in dropped)
    assert len(dropped) > 20 and len(kept) > 20
    assert all(row["toxicity"] is None and row["fluency"] is None for row in kept)


@pytest.mark.parametrize(
    ("aspect", "stage", "reason"),
    [("toxicity", "safety", "toxic"), ("adult", "safety", "adult"), ("fluency", "quality", "not-fluent")],
)
def test_other_aspects(offers: Any, classifier: Path, aspect: str, stage: str, reason: str) -> None:
    """Fluency keeps what the others drop; the fixed threshold counts, not the classifier's."""
    fields = {aspect: str(classifier), f"{aspect}_threshold": 0.5}
    out = build_corpus(config(offers, "out", classify=ClassifyConfig(**fields)))
    found = [drop for drop in drops(out) if drop["reason"] == reason]
    assert found and {drop["stage"] for drop in found} == {stage}
    above = aspect != "fluency"
    assert all((float(drop["detail"]) >= 0.5) == above for drop in found)
    assert all((row[aspect] < 0.5) == above for row in documents(out))


def test_same_bytes_for_any_number_of_tasks(offers: Any, classifier: Path) -> None:
    options = {
        "classify": ClassifyConfig(
            advertisement=str(classifier), fluency=str(classifier), fluency_threshold=0.01
        ),
        "safety": SafetyConfig(mask_pii=True),
    }
    outs = [build_corpus(config(offers, f"out-{tasks}", tasks=tasks, **options)) for tasks in (1, 4)]
    for name in ("data/en/part-00000.parquet", "dropped.parquet", "manifest.json"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()
    rows = artifact.open_artifact(outs[0]).rows
    assert rows.dropped == Counter(drop["reason"] for drop in drops(outs[0]))


def test_the_classifier_belongs_to_the_job(offers: Any, classifier: Path) -> None:
    out = build_corpus(
        config(offers, "out", classify=ClassifyConfig(adult=str(classifier), adult_threshold=0.9))
    )
    inputs = json.loads((out / "manifest.json").read_text())["inputs"]
    assert {
        "path": classifier.name,
        "manifest_sha256": artifact.hash_file(classifier / "manifest.json"),
    } in inputs


def test_a_path_without_classifier_is_refused_before_any_work(offers: Any) -> None:
    with pytest.raises(UserError, match="no such file or directory"):
        build_corpus(config(offers, "out", classify=ClassifyConfig(adult=str(offers.folder / "none"))))
    corpus = build_corpus(config(offers, "corpus"))
    with pytest.raises(UserError, match="holds a corpus, not a classifier"):
        build_corpus(config(offers, "out", classify=ClassifyConfig(adult=str(corpus))))
    assert not list(offers.folder.glob("out*"))


def test_a_threshold_needs_its_classifier() -> None:
    with pytest.raises(UserError, match="adult_threshold: needs adult"):
        ClassifyConfig(adult_threshold=0.5)
    with pytest.raises(UserError, match="adult_threshold: must be at least 0 and at most 1, got 2"):
        ClassifyConfig(adult="x", adult_threshold=2)
