"""One page that answers what a data engineer asks after a run: how much is left in each language, which stage
took the rest and why, and whether it was right to, by examples.

The page is drawn from what the artifact holds (manifest and examples) and nothing else, so `conan-data report`
draws the same bytes again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from conan_data import artifact, page
from conan_data.artifact import Artifact
from conan_data.corpus.report import counts, examples
from conan_data.corpus.report.config import TITLE, CorpusReportConfig
from conan_data.corpus.report.differences import differences
from conan_data.corpus.report.examples import Example
from conan_data.errors import UserError

PAGE = "report.html"
TEMPLATE = Path(__file__).parent / "page.html.jinja"
SHOWN_INPUTS = 20


@dataclass(frozen=True, kw_only=True)
class CorpusRecord:
    """What is known of a corpus; `rows`, `extra`, `config` and `inputs` as in its manifest.

    Of `extra` are shown: `funnel` (drops by stage, reason and language), `kept`, `characters` and `tokens` (by
    language), `other_languages` (documents that are in none of the wanted ones), `labels`, `masked` (personal
    data by kind, and `documents` with any), `extraction` (parts of web pages) and `renamed_ids`; what is missing is left out.
    """

    rows: Mapping[str, Any]
    extra: Mapping[str, Any]
    config: Mapping[str, Any]
    inputs: Sequence[Mapping[str, Any]]
    examples: Sequence[Example]

    @classmethod
    def of(cls, opened: Artifact) -> "CorpusRecord":
        """The record of a published corpus."""
        path = opened.dir / examples.FILE
        return cls(
            examples=examples.read(path) if path.is_file() else [],
            rows=dict(opened.manifest["rows"]),
            extra=opened.manifest["extra"],
            config=opened.manifest["config"],
            inputs=opened.manifest["inputs"],
        )


def report(config: CorpusReportConfig) -> Path:
    """Writes an artifact of kind "report". Raises `UserError` for what is no corpus."""
    opened = artifact.open_artifact(config.corpus, kind="corpus")
    if "funnel" not in opened.manifest["extra"]:
        raise UserError(f"{config.corpus}: made by an older version; build it again")
    with artifact.building(
        config, kind="report", command="conan-data report", inputs=[config.corpus]
    ) as build:
        if build.done:
            return build.out
        write_report(build.dir / PAGE, CorpusRecord.of(opened), title=config.title)
        return build.publish(rows=artifact.Rows(read=1, kept=1))


def write_report(path: Path, record: CorpusRecord, *, title: str = TITLE) -> None:
    """Writes the page; the same record gives the same bytes, wherever the corpus lies."""
    path.write_text(page.render(TEMPLATE, title=title, **context(record)), encoding="utf-8")


def context(record: CorpusRecord) -> dict[str, Any]:
    """What the template shows."""
    rows, extra = record.rows, record.extra
    funnel = extra.get("funnel", [])
    languages = counts.languages(extra, funnel)
    stages = counts.stages(rows, funnel)
    labels = extra.get("labels")
    return {
        "rows": rows,
        "stages": stages,
        "reasons": counts.drop_reasons(rows, funnel, extra.get("other_languages")),
        "languages": languages,
        "totals": {
            "characters": sum(row["characters"] for row in languages),
            "tokens": sum(row["tokens"] or 0 for row in languages),
            "languages": sum(row["kept"] > 0 for row in languages),
        },
        "labels": labels,
        "confusion": counts.confusion(labels) if labels else None,
        "masked": counts.most_first(extra.get("masked") or {}),
        "extraction": extra.get("extraction") or {},
        "renamed_ids": extra.get("renamed_ids", 0),
        "examples": _example_groups(record.examples, funnel),
        "kept_examples": _kept_groups(record.examples, extra.get("kept", {})),
        "config": _flat(record.config),
        "inputs": record.inputs[:SHOWN_INPUTS],
        "more_inputs": max(0, len(record.inputs) - SHOWN_INPUTS),
    }


def _example_groups(shown: Sequence[Example], funnel: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Examples of drops, by stage and reason."""
    dropped: dict[tuple[str, str], int] = {}
    for drop in funnel:
        key = drop["stage"], drop["reason"]
        dropped[key] = dropped.get(key, 0) + drop["rows"]
    found = [
        {"stage": stage, "reason": reason, "rows": dropped.get((stage, reason), 0), "examples": _shown(group)}
        for (stage, reason), group in groupby(shown, key=lambda example: (example.stage, example.reason))
        if stage != examples.KEPT
    ]
    return sorted(
        found, key=lambda group: (counts.stage_order(group["stage"]), -group["rows"], group["reason"])
    )


def _kept_groups(shown: Sequence[Example], kept: Mapping[str, int]) -> list[dict[str, Any]]:
    """Examples of what is kept, by language."""
    found = [
        {"language": lang, "rows": kept.get(lang, 0), "examples": _shown(group)}
        for lang, group in groupby(
            (example for example in shown if example.stage == examples.KEPT), key=lambda example: example.lang
        )
    ]
    return sorted(found, key=lambda group: (-group["rows"], group["language"]))


def _shown(group: Any) -> list[dict[str, Any]]:
    """Each example with its texts in runs; of a text and the one that stayed, what differs is marked."""
    found = []
    for example in group:
        text, other = [(example.text, False)], [(example.other_text, False)]
        if example.other_text and example.reason.startswith("near"):
            text, other = differences(example.text, example.other_text)
        found.append({"example": example, "text": text, "other": other if example.other_text else []})
    return found


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The fields of a config and of those within it, with dotted names."""
    found = []
    for name, value in sorted(config.items()):
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            found.append((prefix + name, shown))
    return found
