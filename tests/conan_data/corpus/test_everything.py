"""One recipe with every stage switched on, over archives, pages and rows of a small crawl with known faults."""

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers

from conan_data.artifact import open_artifact
from conan_data.classifier.train import train_classifier
from conan_data.cli import COMMANDS
from conan_data.command import main
from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from tests.conan_data.readers.test_web import html, record

WORDS = "the cat and dog were walking through an old garden while children played near their house with many small toys every day"
FOOTER = "<p>Subscribe to our weekly letter about gardens and old houses today.</p>"
BOILERPLATE = "Subscribe to our weekly letter about gardens and old houses today."


def prose(rng: random.Random, sentences: int = 12) -> str:
    return " ".join(" ".join(rng.choices(WORDS.split(), k=14)).capitalize() + "." for _ in range(sentences))


def page(number: int, text: str, *, host: str = "good.example", footer: str = "") -> bytes:
    body = html(text + "</p>" + footer + "<p>")
    return record(number, body).replace(
        f"https://example.org/{number}".encode(), f"https://{host}/{number}".encode()
    )


@pytest.fixture
def crawl(tmp_path: Path, offers: Any) -> Path:
    """The recipe; everything that it names lies beside it."""
    rng = random.Random(5)
    texts = [prose(rng) for _ in range(40)]
    folder = tmp_path / "crawl"
    folder.mkdir()
    pages = [page(n, text, footer=FOOTER) for n, text in enumerate(texts)]
    pages += [page(100 + n, prose(rng), host="www.bad.example") for n in range(5)]
    pages += [page(200 + n, texts[n].replace("garden", "yard", 1)) for n in range(5)]
    pages += [page(300, texts[7] + " Write to someone@mail.org or call +49 30 12345678.")]
    pages += [page(400, "", host="good.example").replace(b"200 OK", b"404 No")]
    pages += [
        page(500 + n, " ".join(offers.text(rng, offer=True).capitalize() + "." for _ in range(12)))
        for n in range(6)
    ]
    (folder / "a.warc.gz").write_bytes(b"".join(map(gzip.compress, pages)))
    for number in range(6):
        (folder / f"page{number}.html").write_bytes(html(prose(rng)))
    held = [prose(rng) for _ in range(4)]
    old = [prose(rng) for _ in range(20)]
    rows = [
        {"id": f"r{n}", "text": text}
        for n, text in enumerate([*held[:2], *old[:3], old[3] + " Indeed so.", texts[0]])
    ]
    (folder / "rows.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows, {"id": "r9", "text": 3}])
    )

    evaluation = tmp_path / "evaluation"
    evaluation.mkdir()
    for name, prefix in (("corpus.dev.jsonl.gz", "e"), ("queries.dev.jsonl.gz", "q")):
        lines = "".join(
            json.dumps({"_id": f"{prefix}{n}", "title": "", "text": t}) + "\n"
            for n, t in enumerate(held if prefix == "e" else ["a question"])
        )
        (evaluation / name).write_bytes(gzip.compress(lines.encode()))
    month = tmp_path / "month.jsonl"
    month.write_text("".join(json.dumps({"id": f"m{n}", "text": text}) + "\n" for n, text in enumerate(old)))
    build_corpus(BuildCorpusConfig(out=tmp_path / "last", input=(str(month),), languages=("en",)))

    (tmp_path / "hosts.txt").write_text("bad.example\n")
    classifier = train_classifier(offers.config(offers.write("labelled.jsonl", offers.rows(300))))
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *WORDS.split()])}
    tokenizer = Tokenizer(models.WordLevel(dict(vocabulary), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    stage = {
        "input": [str(folder)],
        "out": str(tmp_path / "out"),
        "languages": ["en", "de"],
        "min_lang_score": 0.3,
        "tokenizer": str(tmp_path / "tokenizer.json"),
        "shard_documents": 20,
        "extract": {"favour": "recall"},
        "rules": {"boilerplate_documents": 20, "min_prose": 0.1},
        "safety": {"block_domains": [str(tmp_path / "hosts.txt")], "mask_pii": True},
        "classify": {"advertisement": str(classifier), "advertisement_threshold": 0.5},
        "dedup": {"url": True, "keep": "first", "against": [str(tmp_path / "last"), str(evaluation)]},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"root": str(tmp_path), "build-corpus": stage}))
    return path


def run(*arguments: str) -> int:
    return main("conan-data", "", COMMANDS, ["build-corpus", *arguments])


def test_every_stage_does_its_part(crawl: Path, tmp_path: Path) -> None:
    assert run("--config", str(crawl)) == 0
    out = tmp_path / "out"
    opened = open_artifact(out, kind="corpus")
    rows, extra = opened.rows, opened.manifest["extra"]
    kept = [row for path in sorted(out.glob("data/*/*.parquet")) for row in pq.read_table(path).to_pylist()]
    dropped = pq.read_table(out / "dropped.parquet").to_pylist()
    assert rows.read == 40 + 5 + 5 + 1 + 1 + 6 + 6 + 8 == len(kept) + len(dropped)
    assert Counter(row["reason"] for row in dropped) == rows.dropped
    assert rows.dropped == {
        **{"blocked-domain": 5, "near-duplicate": 6, "exact-duplicate": 1, "advertisement": 6},
        **{"in-reference": 6, "broken-http-status": 1, "broken-text-is-no-string": 1},
    }
    assert sum(entry["rows"] for entry in extra["funnel"]) == len(dropped)
    assert sum(extra["kept"].values()) == rows.kept == len(kept)
    assert sum(extra["tokens"].values()) == sum(row["tokens"] for row in kept) > 0
    assert extra["masked"] == {"documents": 1, "email": 1, "phone": 1}
    assert not [row["id"] for row in kept if BOILERPLATE in row["text"] or "mail.org" in row["text"]]
    details = {(row["reason"], row["detail"]) for row in dropped}
    assert ("blocked-domain", "bad.example") in details
    assert {detail for reason, detail in details if reason == "in-reference"} == {
        *(f"last: m{n}" for n in range(4)),
        *(f"evaluation: e{n}" for n in range(2)),
    }
    ids = {row["id"] for row in kept}
    assert all(row["detail"] in ids for row in dropped if row["reason"].endswith("-duplicate"))
    report = (out / "report.html").read_text(encoding="utf-8")
    assert all(reason in report for reason in rows.dropped)


WRONG = {
    "input": ["{there}/missing.jsonl"],
    "tokenizer": "{there}/missing/tokenizer.json",
    "identifier": "fasttext:{there}/missing.bin",
    "safety.block_domains": ["{there}/missing.txt"],
    "classify.fluency": "{there}/missing",
    "dedup.against": ["{there}/missing"],
    "executor.address": "localhost:1",
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_path_is_one_line_and_nothing_is_left(
    crawl: Path, tmp_path: Path, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also beside what another run has left unfinished."""
    content = yaml.safe_load(crawl.read_text())
    target = content["build-corpus"]
    *outer, name = field.split(".")
    for part in outer:
        target = target.setdefault(part, {})
    target[name] = json.loads(json.dumps(WRONG[field]).replace("{there}", str(tmp_path)))
    if field.startswith("executor"):
        pytest.importorskip("ray")
        target["kind"] = "ray"
    crawl.write_text(yaml.safe_dump(content))
    assert run("--config", str(crawl)) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and error.startswith("error: ")
    assert "missing" in error or "localhost:1" in error
    left = {path.name for path in tmp_path.iterdir() if path.name.startswith("out")}
    assert left == set()
