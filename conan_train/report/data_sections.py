"""What the page says about data: how many rows came in, what became of them and why, and which languages they
are in.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from conan_data.artifact import Artifact
from conan_train.report import figures

STAGES = {
    "read": "readable",
    "language": "in a wanted language",
    "rules": "passed the rules",
    "dedup": "no duplicate",
}
"""Stages of a corpus build in their order, with what is said of the rows that pass; other stages come after.
"""
KEPT = "kept:rank"
"""What a mining counts the candidates under that it took."""


def corpus_section(item: Artifact, *, number: int) -> dict[str, Any]:
    """The funnel of a corpus, its drops by reason, and its documents by language."""
    rows, extra = item.manifest["rows"], item.manifest["extra"]
    drops = extra.get("funnel", [])
    return {
        "name": item.dir.name,
        "rows": rows,
        "figure": figures.funnel(f"funnel-{number}", funnel_stages(rows, drops)),
        "reasons": _reasons(drops, rows),
        "languages": _corpus_languages(extra.get("kept", {}), extra.get("characters", {}), drops),
        "labels": extra.get("labels"),
    }


def funnel_stages(rows: Mapping[str, Any], drops: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, int]]:
    """(what the rest is, rows in, rows out) in order; drops that name no stage are one stage."""
    lost: Counter[str] = Counter()
    for drop in drops:
        lost[drop["stage"]] += drop["rows"]
    if not drops and rows["dropped"]:
        lost["all filters"] = sum(rows["dropped"].values())
    order = [stage for stage in STAGES if stage in lost] + sorted(
        stage for stage in lost if stage not in STAGES
    )
    left, stages = rows["read"], []
    for stage in order:
        stages.append((STAGES.get(stage, f"passed {stage}"), left, left - lost[stage]))
        left -= lost[stage]
    return stages or [("kept", left, left)]


def retrieval_section(item: Artifact, *, number: int) -> dict[str, Any]:
    """The mix of languages that was asked for and the one that was reached, and what was refused."""
    extra = item.manifest["extra"]
    asked, reached = extra.get("mix_asked", {}), extra.get("mix_reached", {})
    kept, chosen, dropped = (
        extra.get(name, {}) for name in ("queries_by_language", "chosen_by_language", "dropped_by_language")
    )
    languages = sorted(
        asked.keys() | kept.keys() | dropped.keys(),
        key=lambda language: (-asked.get(language, 0.0), -kept.get(language, 0), language),
    )
    table = [
        {
            "language": language,
            "asked": asked.get(language),
            "reached": reached.get(language),
            "chosen": chosen.get(language),
            "kept": kept.get(language, 0),
            "dropped": sum(dropped.get(language, {}).values()),
            "why": listed(dropped.get(language, {})),
            "documents": extra.get("corpus_by_language", {}).get(language),
        }
        for language in languages
    ]
    return {
        "name": item.dir.name,
        "rows": item.manifest["rows"],
        "figure": figures.shares(f"mix-{number}", asked, reached) if asked and reached else None,
        "languages": table,
        "judgements": extra.get("judgements"),
    }


def negatives_section(item: Artifact) -> dict[str, Any]:
    """What became of the candidates, and how far the scores of positives and negatives are apart."""
    extra = item.manifest["extra"]
    quantiles = extra.get("quantiles", [])
    median, low, high = (
        quantiles.index(place) if place in quantiles else None for place in (0.5, 0.05, 0.95)
    )
    scores = []
    for language, record in sorted(
        extra.get("scores", {}).items(), key=lambda entry: (-entry[1]["queries"], entry[0])
    ):
        spreads = {
            side: None
            if not record[f"{side}_scores"] or median is None
            else tuple(record[f"{side}_scores"][place] for place in (low, median, high))
            for side in ("positive", "negative")
        }
        scores.append({"language": language, "queries": record["queries"], **spreads})
    candidates = extra.get("candidates", {})
    total = max(1, sum(candidates.values()))
    return {
        "name": item.dir.name,
        "rows": item.manifest["rows"],
        "candidates": [
            ("kept" if reason == KEPT else reason, count, count / total)
            for reason, count in sorted(candidates.items(), key=lambda entry: (-entry[1], entry[0]))
            if count
        ],
        "scores": scores,
    }


def listed(counts: Mapping[str, int]) -> str:
    """`reason 3, other 1`, largest first."""
    return ", ".join(
        f"{reason} {count:,}"
        for reason, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    )


def _reasons(drops: Sequence[Mapping[str, Any]], rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    by_language: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for drop in drops:
        by_language[drop["stage"], drop["reason"]][drop["lang"] or "unknown"] += drop["rows"]
    if not drops:
        by_language = {("", reason): Counter({"": count}) for reason, count in rows["dropped"].items()}
    order = {stage: place for place, stage in enumerate(STAGES)}
    found = [
        {
            "stage": stage,
            "reason": reason,
            "rows": counts.total(),
            "share": counts.total() / max(1, rows["read"]),
            "languages": _most(counts),
        }
        for (stage, reason), counts in by_language.items()
    ]
    return sorted(found, key=lambda row: (order.get(row["stage"], len(order)), -row["rows"], row["reason"]))


def _most(counts: Counter[str], *, most: int = 5) -> str:
    shown = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    rest = sum(count for _, count in shown[most:])
    return ", ".join(
        [f"{language} {count:,}".strip() for language, count in shown[:most]]
        + ([f"others {rest:,}"] if rest else [])
    )


def _corpus_languages(
    kept: Mapping[str, int], characters: Mapping[str, int], drops: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    dropped: dict[str, Counter[str]] = defaultdict(Counter)
    for drop in drops:
        dropped[drop["lang"]][drop["reason"]] += drop["rows"]
    total = max(1, sum(kept.values()))
    languages = sorted(
        kept.keys() | dropped.keys(), key=lambda language: (language == "", -kept.get(language, 0), language)
    )
    return [
        {
            "language": language or "unknown",
            "kept": kept.get(language, 0),
            "share": kept.get(language, 0) / total,
            "characters": characters.get(language, 0),
            "dropped": dropped[language].total(),
            "why": listed(dropped[language]),
        }
        for language in languages
    ]
