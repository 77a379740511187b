"""What the page says about data: how many rows came in, what became of them and why, and which languages they
are in.
"""

from typing import Any

from conan_data.artifact import Artifact
from conan_data.corpus.report import counts
from conan_train.report import figures

KEPT = "kept:rank"
"""What a mining counts the candidates under that it took."""


def corpus_section(item: Artifact, *, name: str) -> dict[str, Any]:
    """The funnel of a corpus, its drops by reason, and its documents by language."""
    rows, extra = item.manifest["rows"], item.manifest["extra"]
    funnel = extra.get("funnel", [])
    return {
        "name": name,
        "rows": rows,
        "stages": counts.stages(rows, funnel),
        "reasons": counts.drop_reasons(rows, funnel, extra.get("other_languages")),
        "languages": counts.languages(extra, funnel),
        "labels": extra.get("labels"),
    }


def retrieval_section(item: Artifact, *, name: str, number: int) -> dict[str, Any]:
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
            "why": counts.listed(dropped.get(language, {})),
            "documents": extra.get("corpus_by_language", {}).get(language),
        }
        for language in languages
    ]
    return {
        "name": name,
        "rows": item.manifest["rows"],
        "figure": figures.shares(f"mix-{number}", asked, reached) if asked and reached else None,
        "languages": table,
        "judgements": extra.get("judgements"),
    }


def negatives_section(item: Artifact, *, name: str) -> dict[str, Any]:
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
        "name": name,
        "rows": item.manifest["rows"],
        "candidates": [
            ("kept" if reason == KEPT else reason, count, count / total)
            for reason, count in sorted(candidates.items(), key=lambda entry: (-entry[1], entry[0]))
            if count
        ],
        "scores": scores,
    }
