"""All pages of both programs from made-up artifacts with long names, many languages and many evaluations: nothing is
outside of a window of 1,300 or 400 pixels, wide tables scroll, and no words of a figure overlap.
"""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from conan_data import artifact, page
from conan_data.audit import audit
from conan_data.audit.config import AuditConfig
from conan_data.config import StageConfig
from conan_data.corpus.report.examples import KEPT, Example
from conan_data.corpus.report.report import CorpusRecord, write_report
from conan_data.mining import mine as mining
from conan_data.mining.config import MineConfig, SelectionConfig
from conan_data.mining.hash_encoder import HashEncoder
from conan_train.comparison import compare
from conan_train.comparison.paired import Pools, differences
from conan_train.evaluation.metrics import METRICS
from conan_train.report.config import ReportConfig
from conan_train.report.report import PAGE, report
from tests.conan_train.pages.browser import CHROMIUM, faults

pytestmark = pytest.mark.slow

LANGUAGES = [
    *[
        "ar",
        "bg",
        "bn",
        "bs",
        "ca",
        "cs",
        "da",
        "de",
        "el",
        "en",
        "es",
        "fa",
        "fi",
        "fr",
        "hi",
        "hu",
        "id",
        "it",
        "ja",
        "ko",
        "lo",
        "ml",
        "ne",
        "nl",
        "no",
        "pl",
        "ro",
        "ru",
        "sr",
        "sv",
        "ta",
        "th",
        "tr",
        "uk",
        "uz",
    ],
    *("pt-BR", "zh-Hant", "zh-Hans", "sr-Latn-RS"),
]
LONG = "a_name_without_any_space_that_a_careful_person_gives_to_a_run_of_2026-11-30_with_seed_17"
SPACED = "a long headline of several words that a careful person gives to a page of a run"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadeUp(StageConfig):
    model: str = f"/somewhere/{LONG}/{LONG}/model"
    inputs: tuple[str, ...] = (LONG, LONG)


Make = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


def published(path: Path, kind: str, *, files=None, rows=None, extra=None, inputs=()) -> Path:
    with artifact.building(
        MadeUp(out=path), kind=kind, command=f"conan-train {kind}", inputs=inputs
    ) as build:
        for name, text in (files or {"data.txt": str(path)}).items():
            (build.dir / name).write_text(text, encoding="utf-8")
        return build.publish(rows=rows or artifact.Rows(read=1, kept=1), extra=extra)


def values(level: float) -> dict[str, dict[str, float]]:
    return {name: {"value": level, "low": level - 0.03, "high": level + 0.03} for name in METRICS}


def scores(model: str, kind: str, level: float, *, languages: list[str], data: str) -> str:
    pairs = [
        {"query_language": query, "document_language": document, "num_queries": 40, "num_documents": 300}
        | {"num_without_positive": 0, "scores": values(level * (0.6 + 0.01 * row - 0.005 * column))}
        for row, query in enumerate(languages)
        for column, document in enumerate(languages)
    ]
    groups = ("same-language", "cross-language", "en->en", "xx->en", "en->xx", "xx->yy")
    mixed = {"query_language": "*", "document_language": "*", "num_queries": 1_234_567}
    record = {
        "protocol": {"name": "language-pairs-2", "pools": LONG, "metrics": {"ndcg@10": SPACED * 4}},
        "model": model,
        "model_kind": kind,
        "fingerprint": "0" * 64,
        "data": data,
        "data_hash": f"{len(languages):064d}",
        "split": "a-split-with-a-long-name",
        "pairs": pairs,
        "skipped_pairs": [],
        "mixed": {**mixed, "num_documents": 9, "num_without_positive": 0, "scores": values(0.8 * level)},
        "summary": {
            name: {"num_pairs": 1600, "num_queries": 1_234_567, "macro": {}, "by_query": values(level)}
            for name in groups
        },
    }
    sts = [
        {"source": f"{LONG}.jsonl", "language": language, "num_pairs": 1379}
        | {"spearman": {str(size): values(level)["ndcg@10"] for size in (32, 64, 1024)}}
        for language in languages[:5]
    ]
    record["sts"] = {"protocol": {"name": "sts-1", "score": SPACED}, "data": [f"{LONG}.jsonl"], "groups": sts}
    record["sts"] |= {"data_hash": "5" * 64, "mean": {}}
    return json.dumps(record)


def train_log(steps: int = 400) -> str:
    lines = [
        {"event": "step", "step": step, "loss": 2.5 * math.exp(-step / 120) + 0.3, "lr": 2e-5, "replaced": 3}
        | {"positive_score": 0.5, "negative_score": 0.3, "accuracy": 0.4, "mean_cosine": 0.9, "alpha": 0.5}
        | {"warnings": [f"the embeddings collapse: {SPACED} of 0.95 (over 0.9); {SPACED}"]}
        for step in range(10, steps, 10)
    ]
    refreshes = [
        {"event": "refresh", "step": step, "generation": f"gen-{step:08d}-0a1b2c3d", "documents": 32_000_000}
        | {
            "changed": 0.4,
            "mean_score": 0.45,
            "trigger": "because the loss fell",
            "mode": "beside",
            "depth": "window",
        }
        | {"seconds": 1234.5, "share": 0.123, "staleness": 300, "near_positive": 0.01}
        for step in (0, 100, 200)
    ]
    return "".join(
        json.dumps(line) + "\n" for line in sorted(refreshes + lines, key=lambda line: line["step"])
    )


def training_report(folder: Path) -> Path:
    """Two runs whose artifacts have the same names, ten evaluations of a set of few languages, and two of many."""
    funnel = [
        {"stage": stage, "reason": f"{reason}-with-a-long-name", "lang": language, "rows": 1234}
        for stage, reason in (("read", "broken"), ("rules", "too-short"), ("dedup", "near-duplicate"))
        for language in LANGUAGES
    ]
    kept = {language: 9_000_000 - 1000 * place for place, language in enumerate(LANGUAGES)}
    dropped: dict[str, int] = {}
    for drop in funnel:
        dropped[drop["reason"]] = dropped.get(drop["reason"], 0) + drop["rows"]
    rows = artifact.Rows(
        read=sum(kept.values()) + sum(dropped.values()), kept=sum(kept.values()), dropped=dropped
    )
    paths = [
        published(
            folder / run / LONG / "corpus",
            "corpus",
            rows=rows,
            extra={"funnel": funnel, "kept": kept, "characters": {name: 400 * n for name, n in kept.items()}},
        )
        for run in ("one", "two")
    ]
    share = 1 / len(LANGUAGES)
    shares = dict.fromkeys(LANGUAGES, share)
    paths.append(
        published(
            folder / f"queries-{LONG}",
            "retrieval",
            rows=artifact.Rows(read=1000, kept=900, dropped={"a-reason-with-a-long-name": 100}),
            extra={
                "mix_asked": shares,
                "mix_reached": shares,
                "queries_by_language": dict.fromkeys(LANGUAGES, 1_000_000),
                "dropped_by_language": {name: {"a-reason-with-a-long-name": 3} for name in LANGUAGES},
            },
        )
    )
    spread = {"queries": 400, "positive_scores": [0.1, 0.5, 0.9], "negative_scores": [0.1, 0.2, 0.3]}
    paths.append(
        published(
            folder / "negatives",
            "negatives",
            extra={
                "candidates": {"kept:rank": 50_000_000, "known-positive": 2400},
                "quantiles": [0.05, 0.5, 0.95],
                "scores": dict.fromkeys(LANGUAGES, spread),
            },
        )
    )
    measured = {
        "held_out": True,
        "characters_per_token": 3.75,
        "bytes_per_token": 3.8,
        "split_characters": 0.01,
    }
    measured |= {"baseline": {"characters_per_token": 2.5, "split_characters": 0.125}, "ratio": 1.5}
    vocabulary = {"ours": {"size": 64000, "used": 0.75, "longest": [" " * 40 + "x" * 60, LONG]}}
    files = {"fertility.json": json.dumps(dict.fromkeys(LANGUAGES, measured))}
    files |= {"vocabulary.json": json.dumps(vocabulary)}
    paths.append(published(folder / f"tokenizer-{LONG}", "tokenizer", files=files))
    base = published(folder / f"base-{LONG}", "language-model", files={"train_log.jsonl": train_log()})
    tuned = published(
        folder / LONG / f"embedder-{LONG}",
        "embedder",
        files={"train_log.jsonl": train_log()},
        inputs=[base],
        extra={"never_seen": {LONG: {f"{LONG}/{language}": 3 for language in LANGUAGES}}},
    )
    paths += [base, tuned]
    for number in range(10):
        model = (base, tuned)[number % 2]
        text = scores(str(model), "x", 0.3 + 0.04 * number, languages=LANGUAGES[:4], data=f"sets/{LONG}")
        out = folder / LONG / f"evaluation-{number}-{LONG}"
        paths.append(published(out, "evaluation", files={"scores.json": text}, inputs=[model]))
    for number, model in enumerate((base, tuned)):
        text = scores(str(model), "x", 0.4, languages=LANGUAGES, data=f"others/{LONG}")
        out = folder / LONG / f"wide-{number}-{LONG}"
        paths.append(published(out, "evaluation", files={"scores.json": text}, inputs=[model]))
    return report(
        ReportConfig(inputs=tuple(map(str, paths)), out=folder / "report", title=f"{SPACED} {LONG}")
    )


def corpus_page(folder: Path) -> str:
    opened = artifact.open_artifact(folder / "one" / LONG / "corpus")
    text = f"{SPACED} {LONG * 3} " * 3
    shared = {"lang": "sr-Latn-RS", "file": f"/data/{LONG}/{LONG}.jsonl.zst", "place": 1_234_567}
    shared |= {"text": text, "characters": 123_456}
    examples = [
        Example(stage=stage, reason=reason, id=f"{LONG}/{number}", detail=f"{LONG}-detail", other_text=other,
                other_characters=len(other), **shared)
        for number, (stage, reason, other) in enumerate(
            ((KEPT, "", ""), ("dedup", "near-duplicate-with-a-long-name", text + "more"), ("rules", "too-short", ""))
        )
    ]  # fmt: skip
    pairs = {f"{one}>{other}": 1234 for one in LANGUAGES for other in LANGUAGES if one != other}
    labels = {"right": 5000, "missing": 12, "unknown": 0, "unchecked": 4, "wrong": 7, "confusion": pairs}
    tokens = dict.fromkeys(LANGUAGES, 123_456_789)
    record = CorpusRecord(
        rows=opened.manifest["rows"],
        extra={**opened.manifest["extra"], "labels": labels, "tokens": tokens, "masked": {"email": 12_345}},
        config={"input": [LONG] * 5, "rules": {f"{LONG}": 3}},
        inputs=[{"path": f"{LONG}/{LONG}", "sha256": "0" * 64}] * 30,
        examples=examples,
    )
    write_report(folder / "corpus.html", record, title=f"{SPACED} {LONG}")
    return (folder / "corpus.html").read_text(encoding="utf-8")


def audit_page(folder: Path) -> str:
    generator = np.random.default_rng(0)
    words = [f"{'w' * (1 + number % 30)}{number}" for number in range(300)]
    corpus, queries, judged = [], [], []
    for number in range(12 * len(LANGUAGES)):
        own = generator.choice(words, 12, replace=False).tolist()
        lang = LANGUAGES[number % len(LANGUAGES)]
        name = f"{LONG}-{number}"
        queries.append({"_id": f"q{name}", "text": " ".join(own), "lang": lang})
        corpus.append({"_id": f"a{name}", "text": " ".join(own), "lang": lang})
        corpus.append(
            {"_id": f"d{name}", "text": " ".join([*own[:5], *generator.choice(words, 8)]), "lang": lang}
        )
        judged.append(f"q{name}\ta{name}\t1\n")
    data = folder / f"set-{LONG}"
    (data / "qrels").mkdir(parents=True)
    (data / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (data / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    (data / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged))
    (folder / "model").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "load_encoder", lambda *_, **__: HashEncoder(dimension=128))
        select = SelectionConfig(pool_size=5, depth=20)
        negatives = mining.mine(
            MineConfig(
                out=folder / "mined", data=str(data), model=str(folder / "model"), select=select, device="cpu"
            )
        )
    config = AuditConfig(
        out=folder / "audit", negatives=str(negatives), against=(str(data),), against_split="train"
    )
    first = audit.audit(config)
    lines = (first / audit.TO_LABEL).read_text(encoding="utf-8").splitlines()
    place = lines[0].split("\t").index("label")
    filled = [line.split("\t") for line in lines]
    for number, row in enumerate(filled[1:]):
        row[place] = str(number % 2)
    labels = folder / "labels.tsv"
    labels.write_text("\n".join("\t".join(row) for row in filled) + "\n", encoding="utf-8")
    found = audit.audit(dataclasses.replace(config, out=folder / "labelled", labels=str(labels)))
    return (found / audit.PAGE).read_text(encoding="utf-8")


def comparison_page() -> str:
    def pools(level: float) -> Pools:
        rows = [
            {"query_id": f"q{number}", "source_id": f"q{number}", "query_language": query}
            | {"document_language": document, **dict.fromkeys(METRICS, level + 0.01 * number)}
            for query in LANGUAGES[:12]
            for document in LANGUAGES[:12]
            for number in range(3)
        ]
        return Pools.of(pa.Table.from_pylist(rows))

    found = differences(pools(0.2), pools(0.4), num_samples=20, level=0.05, seed=0)
    names = [f"{LONG}/{number}" for number in range(4)]
    return page.render(
        compare.TEMPLATE,
        title=f"{SPACED} {LONG}",
        metrics=compare.SHOWN_METRICS,
        protocol=compare.PROTOCOL,
        data=LONG,
        split="dev",
        level=0.05,
        baseline=names[0],
        models=dict.fromkeys(names, LONG),
        comparisons=[{"name": name, **found} for name in names[1:]],
    )


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, str]:
    made = training_report(folder)
    return {
        "training": (made / PAGE).read_text(encoding="utf-8"),
        "times": (made / "times.html").read_text(encoding="utf-8"),
        "corpus": corpus_page(folder),
        "audit": audit_page(folder),
        "comparison": comparison_page(),
    }


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)")
@pytest.mark.parametrize("width", [1300, 400])
def test_nothing_is_outside_or_overlaps(pages: dict[str, str], width: int, tmp_path: Path) -> None:
    found = faults(pages, width, tmp_path)
    assert {name: own[:8] for name, own in found.items() if own} == {}


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)")
def test_faults_are_found(tmp_path: Path) -> None:
    page = "<!doctype html><body><main>{}</main></body>"
    drawn = '<svg width="200" height="40"><text x="0" y="20">one title</text><text x="20" y="20">other</text></svg>'
    planted = {
        "wide": page.format('<div style="width: 600px">x</div>'),
        "drawn": page.format(drawn),
        "good": page.format('<div style="overflow-x: auto"><div style="width: 600px">x</div></div>'),
    }
    found = faults(planted, 400, tmp_path)
    assert (
        found["wide"] and any("one title / other" in fault for fault in found["drawn"]) and not found["good"]
    )
