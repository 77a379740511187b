"""The audit end to end, on a set whose false negatives, leaks and margins are known."""

import csv
import html
import json
import logging
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from conan_data import artifact
from conan_data.audit import audit as stage
from conan_data.audit.config import AuditConfig
from conan_data.audit.leaks import matches
from conan_data.errors import UserError
from conan_data.mining import mine as mining
from conan_data.mining.config import MineConfig, SelectionConfig
from conan_data.mining.hash_encoder import HashEncoder
from conan_data.mining.selection import MEANINGS

NUM_QUERIES = 60


def write_set(folder: Path) -> Path:
    """Query n is answered by a0-n, and by a1-n, which nobody labelled; a1-n shares more words with the query than
    the others do. Even queries are English, odd ones German.
    """
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(400)]
    corpus, queries = [], []
    for n in range(NUM_QUERIES):
        own = rng.choice(words, 8, replace=False).tolist()
        lang = "de" if n % 2 else "en"
        queries.append({"_id": f"q{n}", "text": " ".join(own), "lang": lang})
        corpus.append({"_id": f"a0-{n}", "text": " ".join(own), "lang": lang})
        corpus.append({"_id": f"a1-{n}", "text": " ".join([*own[:6], f"x{n}", f"y{n}"]), "lang": lang})
        corpus.append({"_id": f"d-{n}", "text": " ".join(rng.choice(words, 8)), "lang": lang})
    corpus.append({"_id": "html", "text": "<script>alert(1)</script> " + " ".join(words[:40])})
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    rows = "".join(f"q{n}\ta0-{n}\t1\n" for n in range(NUM_QUERIES))
    (folder / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    return folder


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    (folder / "model").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "load_encoder", lambda *_, **__: HashEncoder(dimension=512))
        return mining.mine(
            MineConfig(
                out=folder / "negatives",
                data=str(write_set(folder / "set")),
                model=str(folder / "model"),
                select=SelectionConfig(pool_size=5, depth=20, margin=0.97),
                device="cpu",
            )
        )


def run(mined: Path, out: Path, **fields: object) -> tuple[dict, Path]:
    found = stage.audit(AuditConfig(out=out, negatives=str(mined), **fields))
    return json.loads((found / "audit.json").read_text()), found


def pairs_of(mined: Path) -> list[tuple[str, str, float, float]]:
    """(query, document, score, score over positive score) of all pairs."""
    return [
        (row["query_id"], item["corpus_id"], item["score"], item["score"] / row["positive_score"])
        for row in pq.read_table(mined / "negatives.parquet").to_pylist()
        for item in row["pool"]
    ]


def fill_in(source: Path, target: Path) -> None:
    """What a person would do who knows the answers."""
    with open(source, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        row["label"] = "yes" if row["corpus_id"].removeprefix("a1-") == row["query_id"][1:] else "0"
    with open(target, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


def test_numbers_are_those_of_the_table(mined: Path, tmp_path: Path) -> None:
    numbers, out = run(mined, tmp_path / "audit")
    pairs = pairs_of(mined)
    assert numbers["negatives"] == len(pairs) and numbers["queries"] == NUM_QUERIES
    assert numbers["distinct_negatives"] == len({document for _, document, *_ in pairs})
    german = [score for query, _, score, _ in pairs if int(query[1:]) % 2]
    assert numbers["scores"]["de"]["negatives"] == len(german)
    with_some = {query for query, *_ in pairs}
    assert numbers["scores"]["en"]["with_negatives"] == sum(int(query[1:]) % 2 == 0 for query in with_some)
    assert numbers["scores"]["de"]["negative"][2] == pytest.approx(np.median(german), abs=1e-4)
    assert numbers["candidates"] == artifact.open_artifact(mined).manifest["extra"]["candidates"]
    assert list(numbers["candidates"])[:2] == ["kept:rank", "kept:sampled"], "not in the order of the filters"
    assert numbers["false_negatives"]["all"]["value"] is None
    assert {row["source"] for row in numbers["margins"]} == {"scores"}
    artifact.open_artifact(out, kind="audit")


def test_the_page_is_one_file_and_texts_are_no_html(mined: Path, tmp_path: Path) -> None:
    _, out = run(mined, tmp_path / "audit", examples=NUM_QUERIES)
    page = (out / "report.html").read_text()
    assert "<script" not in page and page.count("<svg") == 4
    assert "http" not in page.replace("http://www.w3.org", "")
    again = run(mined, tmp_path / "again", examples=NUM_QUERIES)[1]
    for name in ("report.html", "audit.json", "to_label.tsv"):
        assert (again / name).read_bytes() == (out / name).read_bytes(), name


def test_labels_find_the_planted_false_negatives(mined: Path, tmp_path: Path) -> None:
    _, first = run(mined, tmp_path / "first", sample=150)
    fill_in(first / "to_label.tsv", tmp_path / "filled.tsv")
    numbers, out = run(mined, tmp_path / "second", sample=150, labels=str(tmp_path / "filled.tsv"))
    pairs = pairs_of(mined)
    false = np.array([document == f"a1-{query[1:]}" for query, document, *_ in pairs])
    assert 0.1 < false.mean() < 0.3, "the case is not what it says"
    found = numbers["false_negatives"]
    assert found["all"]["low"] <= false.mean() <= found["all"]["high"] and found["all"]["num_labels"] == 150
    assert found["all"]["high"] - found["all"]["low"] < 0.2
    assert found["strata"][-1]["value"] > 0.5 > found["strata"][0]["value"]
    ratios = np.array([ratio for *_, ratio in pairs])
    [everything] = [row for row in numbers["margins"] if row["language"] == "all"]
    assert everything["source"] == "labels" and everything["rate"] <= 0.05
    assert false[ratios <= everything["margin"]].mean() <= 0.1 < false.mean()
    page = (out / "report.html").read_text()
    assert "judged an answer" in page and page.count("<svg") == 5


def test_the_page_says_what_to_do_next(mined: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    numbers, first = run(mined, tmp_path / "first", sample=150)
    assert any("none judged: fill in to_label.tsv" in message for message in caplog.messages)
    fill_in(first / "to_label.tsv", tmp_path / "filled.tsv")
    numbers, out = run(mined, tmp_path / "second", sample=150, labels=str(tmp_path / "filled.tsv"))
    rate = numbers["false_negatives"]["all"]
    words = f"{100 * rate['value']:.1f}% of them answers (95% interval {100 * rate['low']:.1f} to"
    assert any(words in message and "150 labels" in message for message in caplog.messages)
    page = (out / "report.html").read_text()
    (recipe,) = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
    selected = SelectionConfig(**yaml.safe_load(html.unescape(recipe))["select"])
    suggested = {row["language"]: row["margin"] for row in numbers["margins"]}
    assert selected.margin == suggested.pop("all") and selected.margin_by_language == suggested
    met = {reason for reason, count in numbers["candidates"].items() if count}
    assert {"kept:rank", "known-positive"} <= met
    assert all(MEANINGS[reason] in page for reason in met)
    assert "languages with most queries" not in page and "queries have no negatives" not in page
    assert "150 labels by hand (filled.tsv)" in page


def test_queries_without_negatives_are_warned_of(mined: Path, tmp_path: Path) -> None:
    """Of a set with more than twice as many queries as were mined for."""
    folder = write_set(tmp_path / "set")
    with open(folder / "queries.jsonl", "a") as queries, open(folder / "qrels" / "train.tsv", "a") as qrels:
        for n in range(NUM_QUERIES + 1):
            queries.write(json.dumps({"_id": f"more{n}", "text": f"more of {n}", "lang": "fr"}) + "\n")
            qrels.write(f"more{n}\ta0-0\t1\n")
    numbers, out = run(mined, tmp_path / "audit", data=str(folder))
    assert numbers["scores"]["fr"]["with_negatives"] == 0
    assert "Over half of the queries have no negatives" in (out / "report.html").read_text()
    counts = {"kept:rank": 50, "known-positive": 90, "false-negative": 70, "floor": 8, "beyond-pool": 80}
    assert stage.most_dropped(counts) == "false-negative"
    assert stage.most_dropped({"kept:rank": 3, "beyond-pool": 4, "floor": 0}) is None


def test_languages_that_are_not_drawn_are_told_of(tmp_path: Path) -> None:
    """A set of as many languages as queries, all with scores, of which a figure shows twelve."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "load_encoder", lambda *_, **__: HashEncoder(dimension=512))
        folder = write_set(tmp_path / "set")
        rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
        for place, row in enumerate(rows):
            row["lang"] = f"x{chr(97 + place % 15)}"
        (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / "model").mkdir()
        many = mining.mine(
            MineConfig(
                out=tmp_path / "negatives",
                data=str(folder),
                model=str(tmp_path / "model"),
                select=SelectionConfig(pool_size=5, depth=20),
                device="cpu",
            )
        )
    _, out = run(many, tmp_path / "audit")
    assert (
        "(the 12 of 15 languages with most queries; all are in the table)"
        in (out / "report.html").read_text()
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [("q0\td-9999\t1", "is no negative"), ("q0\ta1-0\tmaybe", "neither 1, yes nor 0, no")],
)
def test_labels_that_cannot_be_are_named_with_their_line(
    mined: Path, tmp_path: Path, line: str, message: str
) -> None:
    (tmp_path / "labels.tsv").write_text(f"query_id\tcorpus_id\tlabel\nq0\ta1-0\t\n{line}\n")
    with pytest.raises(UserError, match=f"line 3: .*{message}"):
        run(mined, tmp_path / "audit", labels=str(tmp_path / "labels.tsv"))


def test_labels_that_a_spreadsheet_wrote_are_those_of_their_rows(mined: Path, tmp_path: Path) -> None:
    """A spreadsheet puts marks around a text with a quote; what it reads and writes again is the same."""
    _, first = run(mined, tmp_path / "first", sample=150)
    fill_in(first / "to_label.tsv", tmp_path / "plain.tsv")
    lines = [line.split("\t") for line in (tmp_path / "plain.tsv").read_text().splitlines()]
    lines[1][3] = 'a "quoted" text'
    with open(tmp_path / "sheet.tsv", "w", newline="") as file:
        csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL).writerows(lines)
    plain, sheet = (
        run(mined, tmp_path / name, sample=150, labels=str(tmp_path / f"{name}.tsv"))[0]["false_negatives"]
        for name in ("plain", "sheet")
    )
    assert {**plain, "judge": ""} == {**sheet, "judge": ""}


def test_leaks_of_an_evaluation_set_are_found(mined: Path, tmp_path: Path) -> None:
    ours = {row["_id"]: row for row in map(json.loads, (mined.parent / "set" / "corpus.jsonl").open())}
    negative = next(document for _, document, *_ in pairs_of(mined) if document.startswith("d-"))
    corpus = [
        {"_id": "equal", "text": ours[negative]["text"].upper() + "  "},
        {"_id": "fresh", "text": "nothing of this is in the other set at all"},
    ]
    queries = [
        {"_id": "copied", "text": ours["a0-7"]["text"]},
        {"_id": "new", "text": "where is nothing of this"},
    ]
    (tmp_path / "dev" / "qrels").mkdir(parents=True)
    (tmp_path / "dev" / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (tmp_path / "dev" / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    (tmp_path / "dev" / "qrels" / "dev.tsv").write_text(
        "query-id\tcorpus-id\tscore\ncopied\tequal\t1\nnew\tfresh\t1\n"
    )
    numbers, _ = run(mined, tmp_path / "audit", against=(str(tmp_path / "dev"),))
    found = {
        (leak["ours"], leak["theirs"], leak["id"], leak["other_id"]) for leak in numbers["leaks"]["texts"]
    }
    assert found == {("query", "query", "q7", "copied"), ("negative", "answer", negative, "equal")}
    assert all(row["equal"] == 1 and row["near"] == 0 for row in numbers["leaks"]["counts"])


def test_near_texts_are_those_of_a_slow_comparison() -> None:
    rng = np.random.default_rng(3)
    words = [f"w{number}" for number in range(300)]
    theirs = [" ".join(rng.choice(words, 60)) for _ in range(40)]
    ours = []
    for number, text in enumerate(theirs):
        changed = text.split()
        for place in rng.choice(60, number // 8, replace=False):
            changed[place] = "changed"
        ours.append(" ".join(changed))

    def grams(text: str) -> set[tuple[str, ...]]:
        split = text.split()
        return {tuple(split[place : place + 3]) for place in range(len(split) - 2)}

    similarity = [len(grams(a) & grams(b)) / len(grams(a) | grams(b)) for a, b in zip(ours, theirs)]
    found = {
        place: value for place, other, value in matches(ours, theirs, near=0.8, ngram=3) if other == place
    }
    assert found.keys() == {place for place, value in enumerate(similarity) if value >= 0.8}
    assert 8 < len(found) < 40
    for place, value in found.items():
        assert value == pytest.approx(similarity[place], abs=1e-3)


def test_a_training_file_without_scores(tmp_path: Path) -> None:
    path = tmp_path / "flag.jsonl"
    rows = [{"query": f"q {n}", "pos": [f"p {n}"], "neg": [f"n {n}", f"n {n + 1}"]} for n in range(30)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    numbers, out = run(path, tmp_path / "audit", sample=20)
    assert numbers["negatives"] == 60 and numbers["distinct_negatives"] == 31
    assert numbers["candidates"] == {} and numbers["scores"]["und"]["positive"] is None
    assert "come without scores" in (out / "report.html").read_text()
    lines = (out / "to_label.tsv").read_text().splitlines()
    assert len(lines) == 21
    (tmp_path / "filled.tsv").write_text("\n".join(line.replace("\t\t", "\t1\t", 1) for line in lines) + "\n")
    judged, _ = run(path, tmp_path / "judged", sample=20, labels=str(tmp_path / "filled.tsv"))
    assert judged["false_negatives"]["all"]["value"] == 1


def test_a_judge_is_asked_about_the_sample(
    mined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Knowing:
        name = "one who knows"

        def judge(self, pairs: list) -> np.ndarray:
            asked = [set(pair.query.split()) & set(pair.document.split()) for pair in pairs]
            return np.array([np.nan if len(own) == 2 else len(own) >= 6 for own in asked], np.float32)

    monkeypatch.setattr(stage, "open_judge", lambda *_, **__: Knowing())
    numbers, _ = run(mined, tmp_path / "audit", sample=150)
    found = numbers["false_negatives"]
    assert found["judge"] == "one who knows" and found["positives_recognised"] == 1
    assert found["failed"] > 0 and found["all"]["num_labels"] == 150 - found["failed"]


def test_what_is_no_negatives(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        run(tmp_path / "none", tmp_path / "audit")


def test_names_in_the_page_are_isolated(mined: Path, tmp_path: Path) -> None:
    _, out = run(mined, tmp_path / "audit")
    assert re.search(r"<code><bdi>(a0|a1|d)-\d+</bdi></code>", (out / stage.PAGE).read_text())
