"""Artifacts of every kind that a report shows, with made-up numbers, published by the rule of all artifacts."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from conan_data import artifact
from conan_data.config import StageConfig

LANGUAGES = ("en", "de", "es", "fr", "it", "ja", "ko", "nl", "pt_BR", "ru", "zh")
METRICS = ("ndcg@10", "recall@20", "recall@100", "mrr@10")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadeUpConfig(StageConfig):
    seed: int = 0


Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make(kind, name, rows=..., extra=..., files={name: text}, inputs=[paths])` publishes an artifact."""

    def publish(kind, name, *, rows=None, extra=None, files=None, inputs=(), command="conan-train made-up"):
        config = MadeUpConfig(out=tmp_path / name, seed=len(name))
        with artifact.building(config, kind=kind, command=command, inputs=inputs) as build:
            for file, text in (files or {"data.txt": name}).items():
                (build.dir / file).parent.mkdir(parents=True, exist_ok=True)
                (build.dir / file).write_text(text, encoding="utf-8")
            return build.publish(rows=rows or artifact.Rows(read=1, kept=1), extra=extra)

    return publish


@pytest.fixture
def project(make: Make) -> dict[str, Path]:
    """A whole project, by name."""
    made: dict[str, Path] = {}
    funnel = [
        {"stage": "read", "reason": "broken-invalid-json", "lang": "", "rows": 3},
        {"stage": "language", "reason": "other-language", "lang": "", "rows": 240},
        {"stage": "rules", "reason": "too-short", "lang": "zh", "rows": 311},
        {"stage": "rules", "reason": "boilerplate", "lang": "en", "rows": 96},
        {"stage": "dedup", "reason": "near-duplicate", "lang": "en", "rows": 700},
        {"stage": "dedup", "reason": "exact-duplicate", "lang": "de", "rows": 150},
    ]
    dropped = {row["reason"]: row["rows"] for row in funnel}
    kept = {language: 900 - 80 * place for place, language in enumerate(LANGUAGES)}
    made["corpus"] = make(
        "corpus",
        "corpus",
        rows=artifact.Rows(
            read=sum(kept.values()) + sum(dropped.values()), kept=sum(kept.values()), dropped=dropped
        ),
        extra={
            "funnel": funnel,
            "kept": kept,
            "characters": {language: 400 * rows for language, rows in kept.items()},
            "labels": {
                "right": 5000,
                "missing": 12,
                "unknown": 0,
                "unchecked": 4,
                "wrong": 7,
                "confusion": {"de>nl": 7},
            },
        },
        command="conan-data build-corpus",
    )
    asked = {"en": 0.4, "zh": 0.2, "es": 0.2, "de": 0.1, "ko": 0.1}
    made["queries"] = make(
        "retrieval",
        "xlr",
        rows=artifact.Rows(read=1000, kept=930, dropped={"wrong-language": 40, "same-as-source": 30}),
        extra={
            "mix_asked": asked,
            "mix_reached": {"en": 0.43, "zh": 0.17, "es": 0.2, "de": 0.1, "ko": 0.1},
            "queries_by_language": {"en": 400, "zh": 158, "es": 186, "de": 93, "ko": 93},
            "chosen_by_language": {"en": 400, "zh": 210, "es": 196, "de": 97, "ko": 97},
            "dropped_by_language": {
                "zh": {"wrong-language": 40, "same-as-source": 12},
                "es": {"same-as-source": 10},
                "de": {"same-as-source": 8},
            },
            "corpus_by_language": {"en": 3000, "zh": 200},
            "judgements": 2400,
        },
        command="conan-data build-xlr",
    )
    made["language_model"] = make(
        "language-model", "lm", files={"train_log.jsonl": pretrain_log()}, command="conan-train pretrain"
    )
    made["negatives"] = make(
        "negatives",
        "mined",
        rows=artifact.Rows(read=930, kept=925, dropped={"no-negative-left": 5}),
        extra={
            "candidates": {
                "kept:rank": 50000,
                "known-positive": 2400,
                "same-group": 900,
                "false-negative": 12000,
                "rank-window": 0,
            },
            "quantiles": [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0],
            "scores": {
                "en": {
                    "queries": 400,
                    "positive_scores": [0.1, 0.3, 0.5, 0.62, 0.7, 0.8, 0.9],
                    "negative_scores": [0.1, 0.2, 0.3, 0.41, 0.5, 0.6, 0.7],
                },
                "zh": {
                    "queries": 158,
                    "positive_scores": [0.1, 0.2, 0.4, 0.52, 0.6, 0.7, 0.9],
                    "negative_scores": None,
                },
            },
        },
        command="conan-data mine",
    )
    made["embedder"] = make(
        "embedder",
        "finetuned",
        files={"train_log.jsonl": finetune_log(), "times.jsonl": finetune_times()},
        inputs=[made["language_model"]],
        command="conan-train finetune",
    )
    for name, kind, level, inputs in (
        ("scores-lm", "language-model", 0.18, [made["language_model"]]),
        ("scores-tuned", "embedder", 0.61, [made["embedder"]]),
        ("scores-bm25", "bm25", 0.4, []),
    ):
        model = str(inputs[0]) if inputs else "bm25"
        made[name] = make(
            "evaluation",
            name,
            files={"scores.json": json.dumps(scores(model, kind, level))},
            inputs=inputs,
            command="conan-train evaluate",
        )
    made["exported"] = make(
        "sentence-transformers", "exported", inputs=[made["embedder"]], command="conan-train export"
    )
    return made


def pretrain_log() -> str:
    lines = [
        {
            "step": step,
            "loss": 9 * math.exp(-step / 150) + 3.1,
            "lr": 1e-3 * min(1, step / 50),
            "grad_norm": 1.0 + 5 / step,
        }
        for step in range(10, 510, 10)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def finetune_log() -> str:
    """500 steps, a line each 10, refreshes at 0, 200 and 400."""
    lines: list[dict[str, object]] = []
    for step in range(0, 501, 10):
        if step in (0, 200, 400):
            lines.append(
                {
                    "event": "refresh",
                    "step": step,
                    "generation": f"gen-{step:08d}-0a1b2c3d",
                    "documents": 3200,
                    "changed": 1.0 if step == 0 else 0.4,
                    "mean_score": 0.45 - step / 4000,
                    "trigger": "start" if step == 0 else "every 200",
                }
            )
        if step:
            since = step % 200
            lines.append(
                {
                    "event": "step",
                    "step": step,
                    "loss": 2.5 * math.exp(-step / 120) + 0.3,
                    "lr": 2e-5,
                    "alpha": min(1.0, step / 300),
                    "positive_score": 0.45 + 0.3 * step / 500,
                    "negative_score": 0.42 - 0.1 * since / 200,
                    "accuracy": 0.4 + 0.001 * step,
                    "replaced": since // 4,
                }
            )
    return "".join(json.dumps(line) + "\n" for line in lines)


def finetune_times(speed: float = 31.4) -> str:
    lines: list[dict[str, object]] = [
        {"event": "refresh", "step": step, "seconds": 12.5 + step / 100, "share": 0.05 + step / 10000}
        for step in (0, 200, 400)
    ]
    lines += [{"event": "step", "step": step, "queries_per_second": speed} for step in range(10, 501, 10)]
    return "".join(json.dumps(line) + "\n" for line in lines)


def scores(model: str, kind: str, level: float) -> dict[str, object]:
    def metrics(value: float) -> dict[str, dict[str, float]]:
        return {name: {"value": value, "low": value - 0.03, "high": value + 0.03} for name in METRICS}

    pairs = [
        {
            "query_language": query,
            "document_language": document,
            "num_queries": 40,
            "num_documents": 300,
            "num_without_positive": 3,
            "scores": metrics(
                level * (1 if query == document else 0.7) * (1 - 0.03 * row) * (1 - 0.02 * column)
            ),
        }
        for row, query in enumerate(LANGUAGES)
        for column, document in enumerate(LANGUAGES)
        if (row + column) % 5 or row == column
    ]
    groups = {
        "same-language": level,
        "cross-language": 0.7 * level,
        "en->en": level,
        "xx->en": 0.72 * level,
        "en->xx": 0.69 * level,
        "xx->yy": 0.6 * level,
    }
    return {
        "protocol": {
            "name": "language-pairs-1",
            "pools": "a pool a pair",
            "metrics": {"ndcg@10": "gain of the first 10"},
        },
        "model": model,
        "model_kind": kind,
        "fingerprint": "0" * 64,
        "data": f"{kind}/xlr",
        "data_hash": "1" * 64,
        "split": "dev",
        "pairs": pairs,
        "skipped_pairs": [{"query_language": "sv", "document_language": "en", "num_queries": 2}],
        "mixed": {
            "query_language": "*",
            "document_language": "*",
            "num_queries": 400,
            "num_documents": 3300,
            "num_without_positive": 0,
            "scores": metrics(0.8 * level),
        },
        "summary": {
            name: {
                "num_pairs": 11,
                "num_queries": 440,
                "macro": dict.fromkeys(METRICS, value),
                "by_query": metrics(value),
            }
            for name, value in groups.items()
        },
    }
