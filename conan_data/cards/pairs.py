"""Facts of pairs, built or scored: by kind, source and direction, what was dropped, and the teacher's thresholds."""

from collections.abc import Mapping
from typing import Any

from conan_data.cards.facts import Bars, Facts, Part, Plot, Section, files_below, num_languages, ordered
from conan_data.cards.markdown import Table
from conan_data.cards.retrieval import num_rows
from conan_data.manifest import Manifest

_FOLDERS = {"default": "data", "sft": "sft"}
"""Configs, and the folders of their files."""


def pairs_facts(manifest: Manifest) -> Facts:
    """Return what the manifest of `build-pairs`, `score-pairs` or `decontaminate` says."""
    extra = manifest["extra"]
    by_language: dict[str, int] = extra.get("pairs_by_language", {})
    languages = sorted({part for name in by_language for part in _sides(name)})
    parts = [
        Part(name, {"train": f"{folder}/*.parquet"}, is_default=name == "default")
        for name, folder in _FOLDERS.items()
        if any(entry["path"].endswith(".parquet") for entry in files_below(manifest, folder))
    ]
    return Facts(
        title=f"Pairs{num_languages(languages)}",
        parts=parts,
        languages=languages,
        num_rows=num_rows(manifest, "data"),
        front={"task_categories": ["sentence-similarity", "text-retrieval"]},
        sections=[
            *_counts("Kinds", "kind", extra.get("pairs_by_kind", {})),
            *_counts("Sources of pairs", "source", extra.get("pairs_by_source", {})),
            *_counts("Languages", "languages", by_language),
            *_thresholds(extra),
            *_dropped(extra),
        ],
        plots=_plots(by_language),
        issues=_issues(manifest),
        about={"has_scores": "teacher" in extra, "has_instructions": "sft" in {part.name for part in parts}},
    )


def _sides(name: str) -> list[str]:
    """The languages of a direction (`de-en`), or the one of both sides (`de`, `zh-Hans`)."""
    first, dash, second = name.partition("-")
    return [first, second] if dash and second.islower() else [name]


def _counts(title: str, column: str, counts: Mapping[str, int]) -> list[Section]:
    return [Section(title, Table((column, "pairs"), ordered(counts)))] if counts else []


def _thresholds(extra: Mapping[str, Any]) -> list[Section]:
    rows = [
        (name, float(found["value"]), str(found.get("origin", "")))
        for name, found in extra.get("thresholds", {}).items()
        if isinstance(found.get("value"), int | float)
    ]
    text = "Pairs whose cosine by the teacher is below the threshold of their language are not in the set."
    return [Section("Thresholds", Table(("languages", "threshold", "from"), rows), text)] if rows else []


def _dropped(extra: Mapping[str, Any]) -> list[Section]:
    rows = [
        (kind, reason, number)
        for kind, reasons in sorted(extra.get("dropped_by_kind", {}).items())
        for reason, number in ordered(reasons)
    ]
    return [Section("Dropped", Table(("kind", "reason", "pairs"), rows))] if rows else []


def _plots(by_language: Mapping[str, int]) -> list[Plot]:
    names = [name for name, _ in ordered(by_language)]
    series = {"pairs": [by_language[name] for name in names]}
    return [Bars("languages", "Pairs by language", names, series)] if names else []


def _issues(manifest: Manifest) -> list[str]:
    extra, found = manifest["extra"], []
    if cut := extra.get("sides_cut"):
        found.append(f"{cut:,} sides were cut at the largest length.")
    if manifest["config"].get("check_language") == "none":
        found.append("Nobody looked for sides that are still in the source language.")
    if manifest["command"].endswith("build-pairs"):
        found.append("The pairs were not scored: some sides belong together by their place alone.")
    return found
