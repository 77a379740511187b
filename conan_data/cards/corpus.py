"""Facts of a corpus: documents by language, and what each stage dropped."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from conan_data.cards.facts import Bars, Facts, Part, Section, files_below, num_languages, ordered
from conan_data.cards.markdown import Table
from conan_data.manifest import Manifest

_EMPTY: dict[str, Any] = {}


def corpus_facts(manifest: Manifest) -> Facts:
    """Return what the manifest of `build-corpus` says."""
    extra = manifest["extra"]
    kept: dict[str, int] = extra.get("kept") or _kept(manifest)
    labels = [label for label, _ in ordered(kept)]
    funnel = extra.get("funnel", [])
    parts = [Part("default", {"train": "data/*/*.parquet"}, is_default=True)]
    parts += [Part(label, {"train": f"data/{label}/*.parquet"}) for label in sorted(kept)]
    return Facts(
        title=f"Corpus{num_languages(labels)}",
        parts=parts,
        languages=labels,
        num_rows=sum(kept.values()),
        front={"task_categories": ["text-generation", "feature-extraction"]},
        sections=[_languages(extra, kept, funnel), *_stages(funnel), *_labels(extra)],
        plots=[_by_stage(kept, labels, funnel)] if funnel else [],
        issues=_issues(manifest),
        about={"example": min(kept)},
    )


def _kept(manifest: Manifest) -> dict[str, int]:
    """Documents by language, as the files have them."""
    counts: Counter[str] = Counter()
    for entry in files_below(manifest, "data"):
        if entry["path"].count("/") == 2:
            counts[entry["path"].split("/")[1]] += entry["rows"] or 0
    if not counts:
        raise KeyError("kept")
    return dict(counts)


def _languages(extra: dict[str, Any], kept: dict[str, int], funnel: Sequence[dict[str, Any]]) -> Section:
    dropped: Counter[str] = Counter()
    for entry in funnel:
        dropped[entry["lang"]] += entry["rows"]
    known = {"documents": kept, "characters": extra.get("characters"), "tokens": extra.get("tokens")}
    columns = {name: counts for name, counts in known.items() if counts} | (
        {"dropped": dropped} if funnel else {}
    )
    rows = [(label, *(counts.get(label, 0) for counts in columns.values())) for label, _ in ordered(kept)]
    return Section("Languages", Table(("language", *columns), rows))


def _stages(funnel: Sequence[dict[str, Any]]) -> list[Section]:
    counts: Counter[tuple[str, str]] = Counter()
    for entry in funnel:
        counts[entry["stage"], entry["reason"]] += entry["rows"]
    rows = [
        (stage, reason, number)
        for (stage, reason), number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    table = Table(("stage", "reason", "documents"), rows)
    return [Section("Dropped", table, "Every drop has a reason.")] if rows else []


def _labels(extra: dict[str, Any]) -> list[Section]:
    labels = extra.get("labels", _EMPTY)
    rows = [
        (declared, found["right"], found["wrong"], found["unchecked"])
        for declared, found in sorted(labels.get("by_declared", _EMPTY).items())
    ]
    if not rows:
        return []
    text = "Languages that the sources declare, against those that were identified."
    return [Section("Declared languages", Table(("declared", "right", "wrong", "not sure"), rows), text)]


def _by_stage(kept: dict[str, int], labels: Sequence[str], funnel: Sequence[dict[str, Any]]) -> Bars:
    stages = sorted({entry["stage"] for entry in funnel if entry["lang"] in kept})
    counts: Counter[tuple[str, str]] = Counter()
    for entry in funnel:
        counts[entry["stage"], entry["lang"]] += entry["rows"]
    series = {f"dropped: {stage}": [counts[stage, label] for label in labels] for stage in stages}
    return Bars(
        "languages", "Documents by language", labels, {"kept": [kept[label] for label in labels]} | series
    )


def _issues(manifest: Manifest) -> list[str]:
    extra, config = manifest["extra"], manifest["config"]
    found = []
    if renamed := extra.get("renamed_ids"):
        found.append(f"{renamed:,} documents shared an id with one of another text and were renamed.")
    if "safety" not in config:
        return found
    if not config["safety"]["mask_pii"]:
        found.append("Addresses and numbers of persons were not masked.")
    if not any(config["classify"].get(name) for name in ("toxicity", "adult", "advertisement")):
        found.append("No classifier looked for toxic or adult texts, nor for advertisements.")
    return found
