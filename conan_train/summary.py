"""What a run came to, as a few lines to read in a terminal: rows, retrieval of every evaluation, negatives, and where
things are. Everything is called by its artifact, and by the stage of the recipe that made it.

It reads the artifacts alone, never what the stages said while they ran, so it says the same of a run that was
resumed or is only looked at.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from conan_data.artifact import Artifact, open_artifact
from conan_train.report import training
from conan_train.report.artifacts import Evaluation, evaluations, in_order, names, of_kind, train_log
from conan_train.report.gains import gains

METRICS = ("ndcg@10", "recall@20")
_MOST_REASONS = 4
_MODELS = (("sentence-transformers", "model (sentence-transformers)"), ("embedder", "model (checkpoint)"))


def summarise(paths: Sequence[str | Path], *, stages: Sequence[str] = ()) -> str:
    """Return the summary of the artifacts at `paths`, in any order; parts that have no artifact are left out.

    `stages` name the stages of a recipe that made them, one a path. Raises `UserError` for a path that is no whole
    artifact.
    """
    opened = [open_artifact(path) for path in paths]
    artifacts = in_order(opened)
    called = names(artifacts)
    made_by = {item.dir: stage for item, stage in zip(opened, stages)}
    parts = [
        _rows_table(artifacts, called, made_by),
        *(_scores_table(group) for group in evaluations(artifacts)),
        _negatives(artifacts, called),
        _places(artifacts, opened),
    ]
    return "\n\n".join(part for part in parts if part)


def _rows_table(
    artifacts: Sequence[Artifact], called: Mapping[Path, str], made_by: Mapping[Path, str]
) -> str:
    rows = [
        [
            *([made_by.get(item.dir, "")] if made_by else []),
            called[item.dir],
            item.manifest["kind"],
            f"{item.rows.read:,}",
            f"{item.rows.kept:,}",
            _reasons(item.rows.dropped),
        ]
        for item in artifacts
        if item.manifest["kind"] not in ("evaluation", "sentence-transformers")
    ]
    header = [*(["stage"] if made_by else []), "artifact", "kind", "read", "kept", "dropped"]
    return _table(header, rows, right=(len(header) - 3, len(header) - 2)) if rows else ""


def _reasons(dropped: Mapping[str, int]) -> str:
    order = sorted(dropped.items(), key=lambda entry: (-entry[1], entry[0]))
    rest = sum(count for _, count in order[_MOST_REASONS:])
    return ", ".join(
        [f"{reason} {count:,}" for reason, count in order[:_MOST_REASONS]]
        + ([f"others {rest:,}"] if rest else [])
    )


def _scores_table(group: Sequence[Evaluation]) -> str:
    """Means over queries in percent, a column an evaluation."""
    pools = {
        "same-language": "same language",
        "cross-language": "across languages",
        None: "all languages in one pool",
    }
    rows = []
    for pool, title in pools.items():
        means = [_means(one.scores, pool) for one in group]
        if any(means):
            rows += [
                [
                    f"{title}, {metric}",
                    *("-" if mean is None else f"{100 * mean[metric]['value']:.1f}" for mean in means),
                ]
                for metric in METRICS
            ]
    if not rows:
        return ""
    header = ["retrieval in %", *(f"{one.label}\n({one.model})" for one in group)]
    lines = [group[0].set_name, _table(header, rows, right=range(1, len(header)))]
    lines += [
        f"{gain['name']}, ndcg@10, before training ({gain['from']}) and after ({gain['to']}):"
        f" {100 * gain['before']:.1f} -> {100 * gain['after']:.1f}"
        for gain in gains(group)
    ]
    return "\n".join(lines)


def _means(scores: Mapping[str, Any], pool: str | None) -> Mapping[str, Any] | None:
    if pool is None:
        return scores["mixed"]["scores"] if scores["mixed"] else None
    return scores["summary"][pool]["by_query"] if pool in scores["summary"] else None


def _negatives(artifacts: Sequence[Artifact], called: Mapping[Path, str]) -> str:
    """One line for each training that mined or replaced negatives."""
    found = []
    for item in of_kind(artifacts, "embedder"):
        lines = train_log(item)
        refreshes = training.refreshes(lines)
        replaced = training.total_replaced(lines)
        if not refreshes and not replaced:
            continue
        facts = [f"mined {_times(len(refreshes))} during training, {replaced:,} replaced by the rule"]
        changed = [line["changed"] for line in refreshes if line.get("changed") is not None]
        if changed:
            facts.append(f"{100 * changed[-1]:.0f}% changed by the last mining")
        for label, values in (
            ("score when mined", [line.get("mean_score") for line in refreshes]),
            ("score in training", _first_and_last(lines)),
        ):
            known = [value for value in values if value is not None]
            if known:
                facts.append(
                    f"mean {label} {known[0]:.3f} -> {known[-1]:.3f}"
                    if len(known) > 1
                    else f"mean {label} {known[0]:.3f}"
                )
        found.append(f"negatives of {called[item.dir]}: {'; '.join(facts)}")
    return "\n".join(found)


def _first_and_last(lines: Sequence[Mapping[str, Any]]) -> list[float]:
    scores = training.series(lines, "negative_score")
    return [] if scores is None else [float(scores.values[0]), float(scores.values[-1])]


def _times(number: int) -> str:
    return {0: "not", 1: "once", 2: "twice"}.get(number, f"{number} times")


def _places(artifacts: Sequence[Artifact], opened: Sequence[Artifact]) -> str:
    """Return where the last report and all models are."""
    places = [("report", item.dir / "report.html") for item in of_kind(opened, "report")[-1:]]
    places += [(title, item.dir) for kind, title in _MODELS for item in of_kind(artifacts, kind)]
    width = max((len(title) for title, _ in places), default=0)
    return "\n".join(f"{title + ':':<{width + 1}} {path}" for title, path in places)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> str:
    align = ["right" if column in right else "left" for column in range(len(header))]
    return tabulate(rows, headers=header, colalign=align, disable_numparse=True)
