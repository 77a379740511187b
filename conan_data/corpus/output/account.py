"""What the manifest of a corpus says about its rows: where they went, and which labels were wrong."""

from collections import Counter
from typing import Any

from conan_data.corpus.output.plan import Plan


def funnel(early: Counter[str], plan: Plan) -> list[dict[str, Any]]:
    """Drops counted by stage, reason and language; `early` are those of the tasks (`WritePart`)."""
    counts: Counter[tuple[str, ...]] = Counter({tuple(key.split("\t")): rows for key, rows in early.items()})
    for reason, langs in plan.duplicates.items():
        counts.update({("dedup", reason, lang): rows for lang, rows in langs.items()})
    return [
        {"stage": stage, "reason": reason, "lang": lang, "rows": rows}
        for (stage, reason, lang), rows in sorted(counts.items())
    ]


def label_report(counts: Counter[str]) -> dict[str, Any]:
    """Declared languages against sure guesses: how many were right or wrong, and which was taken for which
    (`confusion`, by `declared>found`); the same for each declared language, with all that was found
    (`by_declared`).

    `missing`: no label; `unknown`: one that the identifier never answers; `unchecked`: the guess was unsure.
    """
    total = Counter({label: counts[label] for label in ("missing", "unknown")})
    by_declared: dict[str, dict[str, Any]] = {}
    for label, count in sorted(counts.items()):
        declared, is_known, found = label.partition(">")
        if not is_known:
            continue
        outcome = "unchecked" if not found else "right" if found == declared else "wrong"
        total[outcome] += count
        of_declared = by_declared.setdefault(declared, {"right": 0, "wrong": 0, "unchecked": 0, "found": {}})
        of_declared[outcome] += count
        if found:
            of_declared["found"][found] = count
    confusion = {
        f"{declared}>{found}": count
        for declared, of_declared in by_declared.items()
        for found, count in of_declared["found"].items()
        if found != declared
    }
    names = ("right", "wrong", "missing", "unknown", "unchecked")
    return {**{name: total[name] for name in names}, "confusion": confusion, "by_declared": by_declared}


def extraction_report(counts: Counter[str]) -> dict[str, dict[str, int]]:
    """Of each kind of part (headings, list items, table cells, code blocks) how many web pages have (`found`), and how many
    of them are in their texts (`extracted`); empty where there were no pages.
    """
    kinds = sorted({key.partition("\t")[0] for key in counts})
    return {kind: {name: counts[f"{kind}\t{name}"] for name in ("found", "extracted")} for kind in kinds}
