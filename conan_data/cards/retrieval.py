"""Facts of a retrieval set, ours or cross-lingual: queries and documents by language, the checks of translations, and
what an encoder thinks of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from conan_data.cards.bias import bias_plots, bias_sections
from conan_data.cards.facts import (
    Bars,
    Facts,
    Matrix,
    Part,
    Plot,
    Section,
    num_languages,
    ordered,
    split_files,
)
from conan_data.cards.markdown import Table
from conan_data.manifest import Manifest

PARTS = {"corpus": "corpus", "queries": "queries", "default": "qrels"}
"""Configs by which `datasets` and mteb find the parts of a set, and the folders of their files."""


def retrieval_facts(manifest: Manifest) -> Facts:
    """Return what the manifest of a set says: of `build-xlr`, or of another command."""
    extra = manifest["extra"]
    queries: dict[str, int] = extra.get("queries_by_language", {})
    documents: dict[str, int] = extra.get("corpus_by_language", {})
    labels = [label for label, _ in ordered(queries)]
    is_xlr = manifest["command"].endswith("build-xlr")
    name = "Cross-lingual retrieval" if is_xlr else "Retrieval set"
    return Facts(
        title=f"{name}{num_languages(labels)}",
        parts=set_parts(manifest),
        languages=sorted(queries.keys() | documents.keys()),
        num_rows=num_rows(manifest, "queries"),
        front={
            "task_categories": ["text-retrieval"],
            **({"multilinguality": ["translation"]} if is_xlr else {}),
        },
        sections=[
            *_sets(extra),
            *_languages(extra, labels),
            *_splits(extra),
            *_directions(extra),
            *_dropped(extra),
            *bias_sections(extra),
        ],
        plots=_plots(extra, labels),
        issues=_issues(manifest, is_xlr=is_xlr),
        about={
            "splits": sorted(split_files(manifest, "qrels")),
            "num_languages": len(queries),
            "num_queries": num_rows(manifest, "queries"),
            "num_documents": sum(documents.values()) or num_rows(manifest, "corpus"),
            "num_judgements": num_rows(manifest, "qrels"),
            "is_xlr": is_xlr,
            "translator": _translator(manifest["config"]),
        },
    )


def set_parts(manifest: Manifest) -> list[Part]:
    """Return the configs of the set that an artifact holds; none where it holds no set, or one of several formats: of
    these `datasets` reads every config in the format of the first.
    """
    found = [Part(name, split_files(manifest, folder)) for name, folder in PARTS.items()]
    formats = {PurePosixPath(path).suffix for part in found for path in part.splits.values()}
    return found if all(part.splits for part in found) and len(formats) == 1 else []


def num_rows(manifest: Manifest, folder: str) -> int:
    """Return the rows of the Parquet files of a part."""
    return sum(
        entry["rows"] or 0
        for entry in manifest["files"]
        if entry["path"].startswith((f"{folder}/", f"{folder}."))
    )


def _translator(config: Mapping[str, Any]) -> str:
    """Who translated, in the order in which they were asked: a table, or a model by its name."""
    named = config.get("translator", "")
    found = []
    for name in [named] if isinstance(named, str) else named:
        settings = config.get(name)
        model = settings.get("model", "") if isinstance(settings, Mapping) else ""
        found.append(f"{name} ({model})" if model else name)
    return ", then ".join(found)


def _languages(extra: Mapping[str, Any], labels: Sequence[str]) -> list[Section]:
    queries, documents = extra.get("queries_by_language", {}), extra.get("corpus_by_language", {})
    asked, reached = extra.get("mix_asked", {}), extra.get("mix_reached", {})
    if not queries:
        return []
    columns = ("language", "queries", "documents", *(["share asked", "share reached"] if asked else []))
    names = [*labels, *sorted(documents.keys() - queries.keys())]
    rows = [
        (
            name,
            queries.get(name, 0),
            documents.get(name, 0),
            *([_share(asked.get(name)), _share(reached.get(name))] if asked else []),
        )
        for name in names
    ]
    return [Section("Languages", Table(columns, rows))]


def _share(value: float | None) -> float | None:
    return None if value is None else float(value)


def _dropped(extra: Mapping[str, Any]) -> list[Section]:
    rows = [
        (language, reason, number)
        for language, reasons in sorted(extra.get("dropped_by_language", {}).items())
        for reason, number in ordered(reasons)
    ]
    text = "Translations that a check refused, and queries that no translator had."
    return [Section("Dropped", Table(("language", "reason", "queries"), rows), text)] if rows else []


def _sets(extra: Mapping[str, Any]) -> list[Section]:
    """The sets that it was built from, where there are several."""
    described: Mapping[str, Any] = extra.get("sources", {})
    names = ("split", "license", "weight", "queries", "queries_taken", "documents", "judgements")
    rows = [(name, *(each.get(key) for key in names)) for name, each in sorted(described.items())]
    columns = ("set", *(name.replace("_", " ") for name in names))
    return (
        [Section("Sets", Table(columns, rows), "The ids of a set begin with its name.")]
        if len(rows) > 1
        else []
    )


def _splits(extra: Mapping[str, Any]) -> list[Section]:
    rows = [
        (split, sum(found.values()), len(found)) for split, found in extra.get("queries_by_split", {}).items()
    ]
    text = "All versions of a query are in one split; each split has all documents."
    return [Section("Splits", Table(("split", "queries", "languages"), rows), text)] if rows else []


def _directions(extra: Mapping[str, Any]) -> list[Section]:
    """Judgements above 0 by the language of the query, and by how many of the documents are in the same one."""
    rows = [
        (language, sum(found.values()), found.get(language, 0), len(found))
        for language, found in extra.get("directions", {}).items()
    ]
    columns = ("query language", "relevant pairs", "of them in the same language", "document languages")
    return [Section("Directions", Table(columns, rows))] if rows else []


def _plots(extra: Mapping[str, Any], labels: Sequence[str]) -> list[Plot]:
    queries, dropped = extra.get("queries_by_language", {}), extra.get("dropped_by_language", {})
    if not queries:
        return []
    series = {
        "kept": [queries[label] for label in labels],
        "dropped": [sum(dropped.get(label, {}).values()) for label in labels],
    }
    found: list[Plot] = [Bars("languages", "Queries by language", labels, series)]
    directions: Mapping[str, Mapping[str, int]] = extra.get("directions", {})
    if directions:
        columns = sorted({name for row in directions.values() for name in row})
        values = [[row.get(name, 0) for name in columns] for row in directions.values()]
        title = "Relevant pairs by language of the query (down) and of the document (across)"
        found.append(Matrix("directions", title, list(directions), columns, values))
    return [*found, *bias_plots(extra)]


def _issues(manifest: Manifest, *, is_xlr: bool) -> list[str]:
    extra = manifest["extra"]
    found = []
    if not set_parts(manifest):
        found.append("Its files have several formats, so datasets cannot load it; BEIR's readers can.")
    for part, reasons in extra.get("broken_rows", {}).items():
        listed = ", ".join(f"{reason} {number:,}" for reason, number in ordered(reasons))
        found.append(f"Rows of the source that could not be used, {part}: {listed}.")
    if unused := extra.get("unused"):
        found.append(f"Columns of the source that are left out: {', '.join(unused)}.")
    asked, reached = extra.get("mix_asked", {}), extra.get("mix_reached", {})
    short = [name for name, share in asked.items() if reached.get(name, 0) < 0.8 * share]
    if short:
        found.append(f"Fewer queries than asked for (under 80% of the share): {', '.join(sorted(short))}.")
    if is_xlr and "language" in manifest["config"].get("checks", {}).get("skip", ()):
        found.append("The language of the translations was not checked.")
    return found
