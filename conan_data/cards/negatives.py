"""Facts of hard negatives: pools, scores, and what the filters took out."""

from collections.abc import Mapping
from typing import Any

from conan_data.cards.facts import Facts, Part, Plot, Ranges, Section, num_languages, ordered
from conan_data.cards.markdown import Table
from conan_data.cards.retrieval import num_rows, set_parts
from conan_data.manifest import Manifest

FILE = "negatives.parquet"


def negatives_facts(manifest: Manifest) -> Facts:
    """Return what the manifest of `mine`, `import-negatives` or `export-negatives --format beir` says."""
    extra = manifest["extra"]
    own = [
        part
        for part in set_parts(manifest)
        if all(path.endswith(".parquet") for path in part.splits.values())
    ]
    scores: dict[str, Any] = extra.get("scores", {})
    labels = sorted(scores)
    number = num_rows(manifest, "negatives")
    return Facts(
        title=f"Hard negatives{num_languages(labels)}",
        parts=[*own, Part("negatives" if own else "default", {"train": FILE})],
        languages=labels,
        num_rows=number,
        front={"task_categories": ["text-retrieval"]},
        sections=[*_filters(extra), *_scores(extra)],
        plots=_plots(extra),
        issues=_issues(extra),
        about={
            "num_queries": number,
            "has_set": bool(own),
            "set": manifest["config"].get("data", ""),
            "model": manifest["config"].get("model", ""),
        },
    )


def _filters(extra: Mapping[str, Any]) -> list[Section]:
    found = {name: count for name, count in extra.get("candidates", {}).items() if count}
    rows = [(name, count) for name, count in ordered(found)]
    text = "What became of every candidate that the search returned."
    return [Section("Candidates", Table(("outcome", "candidates"), rows), text)] if rows else []


def _scores(extra: Mapping[str, Any]) -> list[Section]:
    rows = [
        (
            label,
            found["queries"],
            _median(extra, found, "positive_scores"),
            _median(extra, found, "negative_scores"),
        )
        for label, found in sorted(extra.get("scores", {}).items())
    ]
    columns = ("language", "queries", "positives, median score", "negatives, median score")
    return [Section("Scores", Table(columns, rows))] if rows else []


def _median(extra: Mapping[str, Any], found: Mapping[str, Any], name: str) -> float | None:
    return found[name][extra["quantiles"].index(0.5)] if found.get(name) else None


def _plots(extra: Mapping[str, Any]) -> list[Plot]:
    scores = {
        label: found
        for label, found in sorted(extra.get("scores", {}).items())
        if found.get("positive_scores") and found.get("negative_scores")
    }
    if not scores:
        return []
    places = [extra["quantiles"].index(share) for share in (0.05, 0.25, 0.5, 0.75, 0.95)]
    series = {
        name: [[found[f"{name}_scores"][place] for place in places] for found in scores.values()]
        for name in ("positive", "negative")
    }
    return [Ranges("scores", "Scores of positives and negatives", list(scores), series)]


def _issues(extra: Mapping[str, Any]) -> list[str]:
    found = []
    if short := extra.get("short_pools"):
        found.append(f"{short:,} queries have fewer negatives than asked for.")
    if "candidates" in extra and not extra["candidates"].get("judged-positive"):
        found.append("No judge looked at the negatives; some may be answers.")
    return found
