"""What is written beside a cleaned set: every removal with its evidence, a page to read, and the fields of mteb."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from conan_data.decontamination.config import DecontaminateConfig
from conan_data.decontamination.evaluation import KINDS, Evaluation, is_local
from conan_data.decontamination.findings import REASONS, Finding, Findings
from conan_data.decontamination.index import METHODS
from conan_data.decontamination.mteb_tasks import tasks_of
from conan_data.decontamination.rows import Key
from conan_data.decontamination.training import Outcome, TrainingSet
from conan_data.hub import is_name
from conan_data.hub import parse as parse_name
from conan_data.public_names import published_value

REMOVED, REPORTED, PAGE, MTEB = "removed.jsonl", "reported.jsonl", "CONTAMINATION.md", "mteb.json"
_LEAKS: Final = ("query", "judgement")
_MEANINGS: Final = {
    "query": "repeats a query or a test text of the evaluation",
    "judgement": "belongs to a pair that the evaluation judges or scores, too",
    "translation-of-leak": "another language version of a text that was removed",
    "shared-answer": "repeats a passage that answers a query of the evaluation; the query itself is not there",
    "shared-passage": "repeats a passage of the evaluation's corpus that answers none of its queries",
    "shared-sentence": "repeats one sentence of a scored pair, with another partner",
    "low-entropy": "repeats a text that says too little to be more than chance",
}
_EXAMPLES, _CHARACTERS = 3, 120


@dataclass(frozen=True)
class Report:
    """What the report is made of."""

    config: DecontaminateConfig
    training: TrainingSet
    evaluation: Evaluation
    findings: Findings
    outcome: Outcome
    removed: Mapping[Key, str]
    num_texts: int


def write_report(directory: Path, report: Report) -> dict[str, Any]:
    """Write the files of the report; return its numbers for the manifest."""
    found = report.findings.by_key
    _write_lines(
        directory / REMOVED, report, (finding for key, finding in found.items() if key in report.removed)
    )
    _write_lines(
        directory / REPORTED, report, (finding for key, finding in found.items() if key not in report.removed)
    )
    with open(directory / REMOVED, "ab") as file:
        for text, reason in report.outcome.others:
            line = Finding(text, [], text.part, reason).to_json(report.evaluation, report.training.name(text))
            file.write(orjson.dumps(line) + b"\n")
    numbers = measure(report)
    metadata = mteb_metadata(report, numbers["evaluations"])
    (directory / MTEB).write_text(json.dumps(metadata, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (directory / PAGE).write_text(page(report, numbers, metadata), encoding="utf-8")
    return numbers


def measure(report: Report) -> dict[str, Any]:
    """Return the counts by evaluation set, and by reason, part and method."""
    found = report.findings.by_key
    by_reason: dict[str, Counter[str]] = {}
    by_part: dict[str, Counter[str]] = {}
    for finding in found.values():
        method = METHODS[finding.match.method] if finding.match else ""
        by_reason.setdefault(finding.reason, Counter())[method] += 1
        by_part.setdefault(finding.reason, Counter())[finding.part] += 1
    hidden = max(0, report.findings.num_passages - sum(by_part.get("shared-passage", Counter()).values()))
    leaks = [finding for finding in found.values() if finding.reason in _LEAKS]
    evaluations = [_of_set(report, place) for place in range(len(report.evaluation.names))]
    removed = {part: sum(rows.dropped.values()) for part, rows in report.outcome.parts.items()}
    changed = ", ".join(
        f"{count:,} of {report.outcome.parts[part].read:,} {part}" for part, count in removed.items()
    )
    return {
        "headline": f"{len(leaks):,} of {report.num_texts:,} texts are leaks; removed: {changed}",
        "texts": report.num_texts,
        "leaks": len(leaks),
        "by_reason": {
            reason: dict(sorted(by_reason[reason].items())) for reason in REASONS if reason in by_reason
        },
        "by_part": {reason: dict(sorted(by_part[reason].items())) for reason in REASONS if reason in by_part},
        "passages_not_listed": hidden,
        "evaluations": evaluations,
        "parts": {
            part: {"read": rows.read, "kept": rows.kept, "dropped": dict(sorted(rows.dropped.items()))}
            for part, rows in report.outcome.parts.items()
        },
        "pool_entries_removed": report.outcome.num_pool_entries,
    }


def _of_set(report: Report, place: int) -> dict[str, Any]:
    """Return how many different texts of an evaluation set were found, by their kind, and how many stay."""
    evaluation = report.evaluation
    hit: dict[str, set[int]] = {}
    left: set[int] = set()
    for key, finding in report.findings.by_key.items():
        match = finding.match
        if match is not None and evaluation.sets_E[match.evaluation] == place:
            hit.setdefault(finding.reason, set()).add(match.evaluation)
            if finding.reason in _LEAKS and key not in report.removed:
                left.add(match.evaluation)
    sizes = evaluation.counts(place)
    return {
        "name": evaluation.names[place],
        "texts": {kind: sizes[kind] for kind in KINDS if sizes[kind]},
        "found": {reason: len(hit[reason]) for reason in REASONS if reason in hit},
        "leaks_left": len(left),
    }


def mteb_metadata(report: Report, evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the fields of `mteb.ModelMeta` that the training data decide, and what they follow from.

    A model trained on this set is not zero-shot on a task whose training data it holds (`trained_on`, or the set is
    the task's own repository), nor on one of whose test texts it still holds some.
    """
    config = report.config
    own = tasks_of(parse_name(config.set).repository) if is_name(config.set) else []
    names = dict(zip((entry["name"] for entry in evaluations), config.against, strict=True))
    leaking = [
        entry["name"] for entry in evaluations if entry["leaks_left"] and not is_local(names[entry["name"]])
    ]
    declared = [*config.trained_on, *own]
    return {
        "training_datasets": sorted({*declared, *leaking}),
        "public_training_data": f"https://huggingface.co/datasets/{parse_name(config.set).repository}"
        if is_name(config.set)
        else None,
        "by_task": {
            **{
                name: {"split": config.split, "reason": "holds training data of the task"}
                for name in sorted(declared)
            },
            **{
                name: {"split": config.against_split or "test", "reason": "holds test texts of the task"}
                for name in sorted(leaking)
            },
        },
        "checked_against": [
            {"name": entry["name"], "found": entry["found"], "leaks_left": entry["leaks_left"]}
            for entry in evaluations
        ],
    }


def page(report: Report, numbers: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """Return `CONTAMINATION.md`."""
    config = report.config
    parts = [
        [name, f"{rows['read']:,}", f"{rows['kept']:,}", _counts(rows["dropped"])]
        for name, rows in numbers["parts"].items()
    ]
    sets = [
        [entry["name"], _counts(entry["texts"]), _counts(entry["found"]), f"{entry['leaks_left']:,}"]
        for entry in numbers["evaluations"]
    ]
    reasons = [
        [
            reason,
            _MEANINGS[reason],
            _counts(numbers["by_part"][reason]),
            _counts(methods),
            "reported" if config.report_only or reason not in config.remove else "removed",
        ]
        for reason, methods in numbers["by_reason"].items()
    ]
    names = ", ".join(f"`{name}`" for name in report.evaluation.names)
    return "\n\n".join(
        [
            "# Contamination",
            f"`{published_value(config.set)}` compared with {names}: {numbers['headline']}.",
            "## What became of the set",
            _table(["part", "read", "kept", "removed"], parts),
            "## By evaluation set",
            _table(["set", "its texts", "of which found", "leaks left"], sets),
            "## What was found",
            _table(["reason", "meaning: the text", "parts", "methods", "then"], reasons),
            _examples(report),
            "## How",
            _methods(report),
            "Passages of an evaluation corpus that answer none of its queries are compared by equality alone "
            f"({numbers['passages_not_listed']:,} more of these were found and are not listed). A text of less than "
            f"{config.min_bits:g} bits, by the frequencies of its words in this set, is low-entropy.",
            "## For mteb",
            f"`training_datasets`: {', '.join(metadata['training_datasets']) or 'none'} (`{MTEB}`). Every removal is in "
            f"`{REMOVED}`, everything else that was found in `{REPORTED}`.\n",
        ]
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [header, ["---"] * len(header), *(rows or [["nothing", *[""] * (len(header) - 1)]])]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _methods(report: Report) -> str:
    config = report.config
    lines = [
        "exact: equal after NFKD, case folding and white space",
        f"ngram: at least {config.containment:.0%} of the {config.ngram}-grams (of words, or of letters of scripts without "
        "spaces) of the shorter text are in the other",
        f"near: MinHash, Jaccard similarity of letters' trigrams, or of pairs of words of long texts, at least {config.near:g}",
    ]
    if not config.neighbours.model:
        lines.append("embedding: not compared, so paraphrases and translations are not found")
    else:
        own = config.neighbours
        centred = ", the mean of each language subtracted" if own.centre else ""
        lines.append(
            f"embedding: cosine with an evaluation query by `{published_value(own.model)}`{centred}, at least "
            f"{own.threshold:g}, or {own.across:g} in another language; passages are not compared by it"
        )
    return "\n".join(f"- {line}" for line in lines)


def _examples(report: Report) -> str:
    shown: dict[str, list[Finding]] = {}
    for finding in report.findings.by_key.values():
        own = shown.setdefault(finding.reason, [])
        if len(own) < _EXAMPLES and finding.match is not None:
            own.append(finding)
    lines = []
    for reason in REASONS:
        for finding in shown.get(reason, ()):
            line = finding.to_json(report.evaluation, report.training.name(finding.text))
            lines.append(
                f"- {reason}, {finding.part} ({line['method']} {line['similarity']:g}): {_short(line['text'])}"
                f"\n  {line['evaluation']}, {line['evaluation_part']} {line['evaluation_id']}: {_short(line['evaluation_text'])}"
            )
    return "Examples:\n\n" + "\n".join(lines) if lines else "There is nothing to show."


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return f"`{flat[:_CHARACTERS].replace('`', chr(39))}`"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "–"


def _write_lines(path: Path, report: Report, findings: Iterable[Finding]) -> None:
    with open(path, "wb") as file:
        for finding in findings:
            file.write(
                orjson.dumps(finding.to_json(report.evaluation, report.training.name(finding.text))) + b"\n"
            )
