"""Scores of pairs, the thresholds that labels choose, and what is written of it."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conan_data.artifact import open_artifact
from conan_data.errors import UserError
from conan_data.mining.hash_encoder import HashEncoder, PlantedError
from conan_data.pairs.weak import read_pairs
from conan_data.score_pairs import score as stage
from conan_data.score_pairs.config import ScorePairsConfig
from conan_data.score_pairs.instructions import instruction_of, instructions
from conan_data.score_pairs.threshold import choose_thresholds

WORDS = [f"w{n}" for n in range(40)]


def write_pairs(path: Path, num: int = 300, seed: int = 0) -> list[dict]:
    """Pairs that share from none to all of their words, in two languages and across them."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(num):
        query = [str(word) for word in rng.choice(WORDS, 8, replace=False)]
        other = [str(word) for word in rng.choice(WORDS, 8, replace=False)]
        shared = number % 9
        lang = ("en", "de")[number % 2]
        rows.append(
            {"query": f"{' '.join(query)} {number}", "document": " ".join([*query[:shared], *other[shared:]]),
             "lang_query": lang, "lang_document": "fr" if number % 5 == 0 else lang, "source": f"s{number % 3}"}
        )  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n", encoding="utf-8")
    return rows


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the stage with stand-ins for teachers; `made` are those that were opened, `plan` those that come next."""
    made, plan = [], []
    (tmp_path / "teacher").write_text("a model")

    def load(*_: object, **__: object) -> HashEncoder:
        made.append(plan.pop(0) if plan else HashEncoder(dimension=256))
        return made[-1]

    monkeypatch.setattr(stage, "load_encoder", load)
    monkeypatch.setattr(stage, "model_input", lambda name: name)

    def run(name: str = "out", **options: object) -> Path:
        return stage.score_pairs(
            ScorePairsConfig(pairs=(str(tmp_path / "pairs.jsonl"),), model=str(tmp_path / "teacher"), out=tmp_path / name, **options)  # type: ignore[arg-type]
        )  # fmt: skip

    run.made, run.plan = made, plan  # type: ignore[attr-defined]
    return run


def read_table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def cosines(rows: list[dict]) -> np.ndarray:
    encoder = HashEncoder(dimension=256)
    query, document = (
        encoder.encode([row[side] for row in rows], kind="query") for side in ("query", "document")
    )
    return (query * document).sum(1)


def test_the_score_is_the_cosine_and_pairs_below_the_threshold_are_dropped(tmp_path: Path, scored) -> None:
    rows = write_pairs(tmp_path / "pairs.jsonl")
    out = scored(threshold=0.4, part_pairs=64)
    expected = cosines(rows)
    pairs = pl.read_parquet(out / "data" / "*.parquet")
    kept = expected >= 0.4
    assert 50 < kept.sum() < 250
    assert pairs["query"].to_list() == [row["query"] for row, is_kept in zip(rows, kept) if is_kept]
    np.testing.assert_allclose(pairs["score"].to_numpy(), expected[kept], atol=1e-3)
    manifest = open_artifact(out, kind="pairs").manifest
    assert manifest["rows"] == {
        "read": 301, "kept": int(kept.sum()), "dropped": {"invalid-json": 1, "score-below-threshold": int((~kept).sum())}
    }  # fmt: skip
    numbers = json.loads((out / "scores.json").read_text())
    directions = Counter(
        row["lang_query"]
        if row["lang_query"] == row["lang_document"]
        else f"{row['lang_query']}-{row['lang_document']}"
        for row in rows
    )
    assert {name: found["pairs"] for name, found in numbers["languages"].items()} == directions
    assert {name: sum(found) for name, found in numbers["histograms"].items()} == directions
    assert sum(found["kept"] for found in numbers["kinds"]) == kept.sum()
    page = (out / "report.html").read_text()
    assert "Around the threshold" in page and "http" not in page.replace("http://www.w3.org", "")
    assert not (out / "scores").exists()
    found = read_pairs([str(out)], min_score=0.6)
    assert found.num_queries == (expected >= 0.6).sum(), "training reads the score"


def test_a_run_that_broke_goes_on_and_gives_the_same_bytes(tmp_path: Path, scored) -> None:
    write_pairs(tmp_path / "pairs.jsonl")
    whole = scored("whole", part_pairs=50, instructions=True)
    scored.plan.append(HashEncoder(dimension=256, fail_on={5}))
    with pytest.raises(PlantedError):
        scored("again", part_pairs=50, instructions=True)
    again = scored("again", part_pairs=50, instructions=True)
    assert sum(len(texts) for _, texts in scored.made[-1].calls) < 0.9 * sum(
        len(texts) for _, texts in scored.made[0].calls
    )
    files = {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    assert files == {
        path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()
    }


def test_a_cache_spares_the_second_run_with_labels_all_encoding(tmp_path: Path, scored) -> None:
    rows = write_pairs(tmp_path / "pairs.jsonl")
    out = scored("first", sample=150, cache=str(tmp_path / "cache"), threshold=-1)
    table = read_table(out / "to_label.tsv")
    expected = dict(zip((row["query"] for row in rows), cosines(rows)))
    assert "score" not in table[0] and len(table) == 300
    labels = tmp_path / "labels.tsv"
    good = {row["id"]: expected[row["query"]] >= 0.5 for row in table}
    labels.write_text("id\tlabel\n" + "".join(f"{key}\t{int(value)}\n" for key, value in good.items()))
    second = scored(
        "second", sample=150, cache=str(tmp_path / "cache"), labels=str(labels), precision=0.95, min_labels=80
    )
    assert scored.made[-1].calls == []
    thresholds = open_artifact(second).manifest["extra"]["thresholds"]
    assert {name: found["origin"] for name, found in thresholds.items()} == {
        "de": "labels", "en": "labels", "de-fr": "all", "en-fr": "all"
    }  # fmt: skip
    for found in thresholds.values():
        assert found["reached"] and 0.4 < found["value"] < 0.55 and found["precision"]["low"] > 0.8
    filled = read_table(second / "to_label.tsv")
    assert {row["id"]: row["label"] for row in filled} == {
        key: str(int(value)) for key, value in good.items()
    }


def test_the_sample_is_uniform_and_the_same_for_parts_of_any_size(tmp_path: Path, scored) -> None:
    """Also of pairs that are dropped."""
    rows = write_pairs(tmp_path / "pairs.jsonl", num=900)
    tables = {
        (scored(f"of-{size}", sample=40, part_pairs=size) / "to_label.tsv").read_bytes()
        for size in (33, 1000)
    }
    assert len(tables) == 1
    sample = pl.read_csv(tmp_path / "of-33" / "to_label.tsv", separator="\t", quote_char=None)
    assert dict(sample["direction"].value_counts().iter_rows()) == {
        "en": 40,
        "de": 40,
        "en-fr": 40,
        "de-fr": 40,
    }
    expected = dict(zip((row["query"] for row in rows), cosines(rows)))
    share = np.mean([expected[query] >= 0.4 for query in sample["query"].to_list()])
    assert abs(share - np.mean([value >= 0.4 for value in expected.values()])) < 0.12


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id\tlabel\n0123456789abcdef\t1\n", "1 of 1 labels are of other pairs"),
        ("id\tlabel\nxyz\t1\n", "line 2: 'xyz' is no id"),
        ("id\tlabel\n0123456789abcdef\tmaybe\n", "line 2: label 'maybe' is neither"),
        ("id\tlabel\n0123456789abcdef\t\n", "has no label"),
        ("name\tlabel\nx\t1\n", "no column 'id'"),
    ],
)
def test_labels_that_are_none_are_refused(content: str, words: str, tmp_path: Path, scored) -> None:
    write_pairs(tmp_path / "pairs.jsonl", num=20)
    (tmp_path / "labels.tsv").write_text(content)
    with pytest.raises(UserError, match=words):
        scored(labels=str(tmp_path / "labels.tsv"))
    assert not (tmp_path / "out").exists()


def test_a_threshold_that_no_pair_reaches_is_said(tmp_path: Path, scored) -> None:
    write_pairs(tmp_path / "pairs.jsonl", num=20)
    with pytest.raises(UserError, match="no pair reaches the threshold"):
        scored(threshold=1.0)


def simulated(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    scores = rng.uniform(0, 1, size)
    return scores, rng.random(size) < scores


def test_a_threshold_is_the_lowest_that_reaches_the_precision() -> None:
    rng = np.random.default_rng(3)
    scores, good = simulated(rng, 400)
    found = choose_thresholds(
        scores, good, np.array(["en"] * 400, object), rng.integers(0, 2**60, 400).astype(np.uint64),
        languages=["en", "de"], precision=0.8, min_labels=50, default=0.4,
    )  # fmt: skip
    reaching = [value for value in np.sort(scores) if good[scores >= value].mean() >= 0.8]
    assert found["en"].origin == "labels" and good[scores >= found["en"].value].mean() >= 0.8
    assert found["en"].value <= reaching[0] and not any(
        found["en"].value <= value < reaching[0] for value in scores
    )
    assert (
        found["de"].origin == "all" and found["de"].value == found["en"].value and found["de"].num_labels == 0
    )
    few = choose_thresholds(
        scores[:40], good[:40], np.array(["en"] * 40, object), np.arange(40, dtype=np.uint64),
        languages=["en"], precision=0.8, min_labels=50, default=0.4,
    )  # fmt: skip
    assert few["en"].origin == "default" and few["en"].value == 0.4 and few["en"].num_labels == 40


def test_the_stated_precision_is_not_that_of_the_labels_that_chose() -> None:
    """Over many samples of 100 labels the labels that chose promise too much, and what is stated does not."""
    rng = np.random.default_rng(5)
    true, stated, promised, covered = [], [], [], []
    for _ in range(150):
        scores, good = simulated(rng, 100)
        found = choose_thresholds(
            scores, good, np.array(["en"] * 100, object), rng.integers(0, 2**60, 100).astype(np.uint64),
            languages=["en"], precision=0.8, min_labels=50, default=0.4,
        )["en"]  # fmt: skip
        assert found.precision is not None
        # P(good | score >= t) for uniform scores is (1 + t) / 2.
        true.append((1 + found.value) / 2)
        stated.append(found.precision["value"])
        promised.append(good[scores >= found.value].mean())
        covered.append(found.precision["low"] <= true[-1])
    assert np.mean(promised) - np.mean(true) > 0.01
    assert -0.06 < np.mean(stated) - np.mean(true) < 0.01, (
        "rather less than what is true: halves choose worse"
    )
    assert np.mean(covered) > 0.95, "the lower end of the interval holds"


def test_instructions_are_in_the_language_of_the_query(tmp_path: Path, scored) -> None:
    kinds = set(instructions()["en"])
    assert all(set(own) == kinds for own in instructions().values()), "each language has all kinds"
    assert len({text for own in instructions().values() for text in own.values()}) >= 8 * len(instructions())
    assert instruction_of("parallel", "de", "fr") == "Übersetze den Text. Zielsprache: Französisch."
    assert (
        instruction_of("translation", "sw", "zh-Hant")
        == "Translate the text. Target language: Traditional Chinese."
    )
    assert instruction_of("pair", "zh", "zh") == "请写一段能回答该查询的文字。"
    rows = write_pairs(tmp_path / "pairs.jsonl", num=50)
    out = scored(instructions=True, threshold=-1)
    found = pl.read_parquet(out / "sft" / "*.parquet")
    assert found.columns == ["instruction", "input", "output"]
    assert found["output"].to_list() == [row["document"] for row in rows]
    assert set(found["instruction"]) == {instructions()[lang]["pair"] for lang in ("en", "de")}
    assert open_artifact(out).manifest["extra"]["instructions_in"] == sorted(instructions())
