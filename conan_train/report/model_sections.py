"""What the page says about models: the tokenizer by language, curves of training, refreshes of negatives, and the
scores of all evaluations of a set side by side.
"""

from collections.abc import Sequence
from typing import Any

from conan_data.artifact import Artifact
from conan_train.report import figures, training
from conan_train.report.artifacts import Evaluation, read_json, train_log
from conan_train.report.gains import gains

SHOWN_METRICS = ("ndcg@10", "recall@20")
FERTILITY, VOCABULARY = "fertility.json", "vocabulary.json"


def training_section(item: Artifact, *, name: str, number: int) -> dict[str, Any] | None:
    """The curves of a language model or an embedder; None for one that was not trained (a log is missing)."""
    lines = train_log(item)
    steps = training.step_lines(lines)
    if not steps:
        return None
    refreshes = training.refreshes(lines)
    marks = [float(line["step"]) for line in refreshes]
    drawn: list[dict[str, str]] = []

    def draw(
        caption: str, fields: dict[str, str], *, ylabel: str, with_refreshes: bool = True, log: bool = False
    ) -> None:
        lines_of = {
            label: found
            for label, field in fields.items()
            if (found := training.series(lines, field)) is not None
        }
        if lines_of:
            figure = f"training-{number}-{len(drawn)}"
            shown = marks if with_refreshes else []
            drawn.append(
                {
                    "caption": caption,
                    "svg": figures.curves(figure, lines_of, ylabel=ylabel, refreshes=shown, log=log),
                }
            )

    draw("Loss", {"loss": "loss"}, ylabel="loss", log=_spans_decades(lines))
    if (scores := training.score_series(lines)) is not None:
        metric = training.evaluations(lines)[-1]["metric"]
        svg = figures.curves(f"training-{number}-held-out", {metric: scores}, ylabel=metric, refreshes=marks)
        drawn.append({"caption": "Score on held-out data (the dev set) while training", "svg": svg})
    draw(
        "Scores (cosines) of positives and of the negatives in training. A mining should lift the line of the negatives.",
        {"positives": "positive_score", "negatives": "negative_score"},
        ylabel="mean cosine",
    )
    replaced = training.replaced_per_step(lines)
    if replaced is not None and replaced.values.any():
        svg = figures.curves(
            f"training-{number}-replaced",
            {"replaced": replaced},
            ylabel="negatives a step",
            refreshes=marks,
            filled=True,
        )
        drawn.append(
            {
                "caption": "Negatives that had become easy and were replaced by the next of their pool",
                "svg": svg,
            }
        )
    draw(
        "Queries whose positive scores highest among their candidates",
        {"accuracy": "accuracy"},
        ylabel="share",
    )
    draw(
        "Loss of each task",
        {name.removesuffix("_loss"): name for name in training.task_losses(lines)},
        ylabel="loss",
    )
    draw(
        "Mean cosine of two random texts. Near 1 all texts lie in one narrow cone.",
        {"mean cosine": "mean_cosine"},
        ylabel="mean cosine",
    )
    draw(
        "Effective rank: in how many directions texts differ",
        {"effective rank": "effective_rank"},
        ylabel="directions",
    )
    draw("Learned temperature", {"temperature": "temperature"}, ylabel="temperature", with_refreshes=False)
    draw(
        "Age of the negatives: steps since the weights that chose them",
        {"age": "staleness"},
        ylabel="steps",
    )
    draw("Soft mask: 0 is causal, 1 bidirectional", {"alpha": "alpha"}, ylabel="alpha", with_refreshes=False)
    draw(
        "Length of the gradient before it is clipped",
        {"gradient": "grad_norm"},
        ylabel="norm",
        with_refreshes=False,
    )
    draw("Learning rate", {"learning rate": "lr"}, ylabel="learning rate", with_refreshes=False)
    return {
        "name": name,
        "kind": item.manifest["kind"],
        "figures": drawn,
        "refreshes": refreshes,
        "facts": _facts(lines, steps) + _more_facts(item),
        "warnings": training.warnings(lines),
        "never_seen": item.manifest["extra"].get("never_seen", {}),
    }


def tokenizer_section(item: Artifact, *, name: str) -> dict[str, Any] | None:
    """What a tokenizer's text costs by language, beside its baseline where there is one; None where nothing
    was measured.
    """
    if not (item.dir / FERTILITY).is_file():
        return None
    languages = read_json(item, FERTILITY)
    trained = item.manifest["extra"].get("sample_characters", {})
    return {
        "name": name,
        "rows": [{"language": lang, "trained": trained.get(lang), **row} for lang, row in languages.items()],
        "baseline": any("baseline" in row for row in languages.values()),
        "vocabulary": read_json(item, VOCABULARY) if (item.dir / VOCABULARY).is_file() else {},
    }


def scores_section(group: Sequence[Evaluation], *, number: int) -> dict[str, Any]:
    """One set's evaluations side by side: the groups of language pairs, the mixed pool, and a heat map."""
    names = list(dict.fromkeys(name for one in group for name in one.scores["summary"]))
    rows = [
        _score_row(name, [one.scores["summary"].get(name) for one in group], key="by_query") for name in names
    ]
    if any(one.scores["mixed"] for one in group):
        rows.append(
            _score_row("all languages in one pool", [one.scores["mixed"] for one in group], key="scores")
        )
    panels = {
        one.label: {
            (pair["query_language"], pair["document_language"]): pair["scores"]["ndcg@10"]["value"]
            for pair in one.scores["pairs"]
        }
        for one in group
        if one.scores["pairs"]
    }
    first = group[0].scores
    return {
        "name": group[0].set_name,
        "labels": [one.label for one in group],
        "models": [(one.label, one.model) for one in group],
        "metrics": SHOWN_METRICS,
        "rows": rows,
        "gains": gains(group),
        "heat_map": figures.heat_maps(f"pairs-{number}", panels, metric="nDCG@10") if panels else None,
        "protocol": first["protocol"],
        "skipped": max(len(one.scores["skipped_pairs"]) for one in group),
    }


def sts_section(group: Sequence[Evaluation]) -> dict[str, Any]:
    """One set of scored pairs: a row a file and language, and for vectors that are cut a row a size."""
    return _task_section(
        group,
        [
            [
                (f"{row['source']} {row['language']}".strip(), size, row["num_pairs"], score)
                for row in one.scores["sts"]["groups"]
                for size, score in row["spearman"].items()
            ]
            for one in group
        ],
        protocol=group[0].scores["sts"]["protocol"],
    )


def classification_section(group: Sequence[Evaluation]) -> dict[str, Any]:
    """One set of labelled texts: a row a metric, and for vectors that are cut a row a size."""
    return _task_section(
        group,
        [
            [
                (label, size, one.scores["classification"]["num_test"], scores[metric])
                for metric, label in (("accuracy", "accuracy"), ("macro_f1", "macro F1"))
                for size, scores in one.scores["classification"]["scores"].items()
            ]
            for one in group
        ],
        protocol=group[0].scores["classification"]["protocol"],
    )


def _task_section(
    group: Sequence[Evaluation],
    entries: Sequence[Sequence[tuple[str, str, int, dict[str, Any]]]],
    *,
    protocol: dict[str, str],
) -> dict[str, Any]:
    """`entries` of each evaluation: (what, size of the vectors, number of texts, score)."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for place, own in enumerate(entries):
        for name, size, number, score in own:
            row = rows.setdefault(
                (name, size), {"name": name, "size": size, "number": number, "cells": [None] * len(group)}
            )
            row["cells"][place] = score
    return {
        "labels": [one.label for one in group],
        "set": group[0].set_name,
        "models": [(one.label, one.model) for one in group],
        "rows": list(rows.values()),
        "protocol": protocol,
    }


def _score_row(name: str, records: Sequence[dict[str, Any] | None], *, key: str) -> dict[str, Any]:
    counts = next(record for record in records if record is not None)
    return {
        "name": name,
        "pairs": counts.get("num_pairs"),
        "queries": counts["num_queries"],
        "cells": [
            [None if record is None else record[key][metric] for record in records]
            for metric in SHOWN_METRICS
        ],
    }


def _facts(lines: Sequence[dict[str, Any]], steps: Sequence[Any]) -> list[tuple[str, str]]:
    """Numbers worth a line of text."""
    loss = training.series(lines, "loss")
    found = [("steps logged", f"{len(steps):,}"), ("last step", f"{steps[-1]['step']:,}")]
    if loss is not None:
        found.append(("loss", f"{loss.values[0]:.3f} → {loss.values[-1]:.3f}"))
    refreshes = training.refreshes(lines)
    if refreshes:
        found.append(("minings", f"{len(refreshes):,}"))
    if training.replaced_per_step(lines) is not None:
        found.append(("negatives replaced by the rule", f"{training.total_replaced(lines):,}"))
    return found


def _more_facts(item: Artifact) -> list[tuple[str, str]]:
    """Of a run that was extended, or evaluated on the way."""
    history = item.manifest.get("extended_from", [])
    found = [("extended at step", ", ".join(f"{entry['step']:,}" for entry in history))] if history else []
    if (scored := item.manifest["extra"].get("evaluations")) is not None:
        best = scored["best"]
        found += (
            [(f"best {scored['metric']}", f"{best['score']:.4f} at step {best['step']:,}")] if best else []
        )
        found.append(("published", f"step {scored['published_step']:,}"))
        found += (
            [("ended early after step", f"{scored['last']['step']:,}")] if scored["stopped_early"] else []
        )
    return found


def _spans_decades(lines: Sequence[dict[str, Any]]) -> bool:
    loss = training.series(lines, "loss")
    return loss is not None and bool((loss.values > 0).all()) and loss.values.max() > 20 * loss.values.min()
