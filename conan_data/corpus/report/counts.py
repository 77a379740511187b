"""The numbers of a corpus as a reader wants them: what is left after each stage, why the rest is not, and how
it is spread over languages.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STAGES = {
    "read": "readable",
    "language": "in a wanted language",
    "rules": "passed the rules",
    "safety": "safe",
    "quality": "of good quality",
    "dedup": "no duplicate",
}
"""Stages of a corpus build in their order, with what is said of the documents that pass; others come after."""


@dataclass(frozen=True)
class Stage:
    """A stage, the documents that came into it and out of it, and those that it dropped by reason."""

    name: str
    left_over: str
    before: int
    after: int
    reasons: Mapping[str, int]


def stages(rows: Mapping[str, Any], funnel: Sequence[Mapping[str, Any]]) -> list[Stage]:
    """The stages that dropped something, in order; `rows` as in a manifest, `funnel` lists drops by stage,
    reason and language. Drops that name no stage are one stage.
    """
    dropped: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for drop in funnel:
        dropped[drop["stage"]][drop["reason"]] += drop["rows"]
    if not funnel and rows["dropped"]:
        dropped["filters"].update(rows["dropped"])
    left, found = rows["read"], []
    for name in sorted(dropped, key=stage_order):
        after = left - dropped[name].total()
        reasons = dict(most_first(dropped[name]))
        found.append(Stage(name, STAGES.get(name, f"passed {name}"), left, after, reasons))
        left = after
    return found


def stage_order(name: str) -> tuple[int, str]:
    """Sorts the names of stages."""
    return (list(STAGES).index(name) if name in STAGES else len(STAGES)), name


def drop_reasons(
    rows: Mapping[str, Any],
    funnel: Sequence[Mapping[str, Any]],
    other_languages: Mapping[str, int] | None = None,
) -> list[dict[str, Any]]:
    """One record a stage and reason, in order: rows, share of all rows, and the most frequent languages;
    `other_languages` are those of the documents that are in none of the wanted ones.
    """
    by_language: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for drop in funnel:
        by_language[drop["stage"], drop["reason"]][drop["lang"] or "unknown"] += drop["rows"]
    if other_languages:
        by_language["language", "other-language"] = Counter(other_languages)
    return [
        {
            "stage": stage.name,
            "reason": reason,
            "rows": count,
            "share": count / max(1, rows["read"]),
            "languages": listed(by_language[stage.name, reason], most=8),
        }
        for stage in stages(rows, funnel)
        for reason, count in stage.reasons.items()
    ]


def languages(extra: Mapping[str, Any], funnel: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One record a language, the most frequent first: kept documents, characters, tokens, and drops by stage
    and reason. Drops of no known language are the last.
    """
    kept, characters, tokens = (extra.get(name) or {} for name in ("kept", "characters", "tokens"))
    by_stage: defaultdict[str, Counter[str]] = defaultdict(Counter)
    by_reason: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for drop in funnel:
        by_stage[drop["lang"]][drop["stage"]] += drop["rows"]
        by_reason[drop["lang"]][drop["reason"]] += drop["rows"]
    total = max(1, sum(kept.values()))
    found = []
    for lang in sorted(kept.keys() | by_stage.keys(), key=lambda lang: (not lang, -kept.get(lang, 0), lang)):
        dropped = by_stage[lang].total()
        found.append(
            {
                "language": lang or "unknown",
                "read": kept.get(lang, 0) + dropped,
                "kept": kept.get(lang, 0),
                "share": kept.get(lang, 0) / total,
                "characters": characters.get(lang, 0),
                "tokens": tokens.get(lang),
                "dropped": dropped,
                "by_stage": dict(by_stage[lang]),
                "why": listed(by_reason[lang]),
            }
        )
    return found


@dataclass(frozen=True)
class Confusion:
    """Declared languages (rows) against other ones that were found (columns); `counts` holds pairs that occur,
    `right` the documents of a declared language that are in it, where that is known.
    """

    declared: Sequence[str]
    found: Sequence[str]
    counts: Mapping[tuple[str, str], int]
    right: Mapping[str, int]
    most: int


def confusion(labels: Mapping[str, Any], *, most: int = 40) -> Confusion | None:
    """The table of a manifest's `labels`, its `most` most frequent languages; None where no label was wrong."""
    pairs = {
        (declared, found): count
        for name, count in labels.get("confusion", {}).items()
        for declared, _, found in [name.partition(">")]
    }
    if not pairs:
        return None
    sides: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for pair, count in pairs.items():
        for side, lang in zip(sides, pair, strict=True):
            side[lang] += count
    declared, found = ([lang for lang, _ in most_first(side)[:most]] for side in sides)
    right = {lang: record["right"] for lang, record in labels.get("by_declared", {}).items()}
    return Confusion(declared, found, pairs, right, max(pairs.values()))


def most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Names and counts, the largest first."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


def listed(counts: Mapping[str, int], *, most: int | None = None) -> str:
    """`reason 3, other 1`, largest first; all but `most` are summed up."""
    ordered = most_first(counts)
    rest = sum(count for _, count in ordered[most:]) if most is not None else 0
    shown = [f"{name} {count:,}" for name, count in ordered[:most]]
    return ", ".join(shown + ([f"others {rest:,}"] if rest else []))
