"""Facts of a text classifier: from which texts, and how well on texts it never saw."""

from collections.abc import Mapping
from typing import Any

from conan_data.cards.facts import Facts, Section
from conan_data.cards.markdown import Table
from conan_data.manifest import Manifest


def classifier_facts(manifest: Manifest) -> Facts:
    """Return what the manifest of `train-classifier` says."""
    extra, config = manifest["extra"], manifest["config"]
    languages: dict[str, Any] = extra["languages"]
    rows = [_row("all", extra["overall"], is_own=True)]
    rows += [_row(label, found, is_own=found["own_threshold"]) for label, found in languages.items()]
    columns = ("language", "texts", "positive", "threshold", "precision", "recall", "F1", "average precision")
    text = (
        "On texts that neither the model nor the thresholds were fitted on. In brackets: Wilson intervals, 95%. A * marks a "
        "language with too few held-out texts for a threshold of its own."
    )
    return Facts(
        title="Text classifier",
        languages=sorted(languages),
        num_rows=manifest["rows"]["kept"],
        front={"library_name": "fasttext", "pipeline_tag": "text-classification"},
        sections=[Section("Measures", Table(columns, rows), text)],
        issues=["The figures hold for texts like these: measure on your own before you drop anything by it."],
        about={
            "parts": extra["parts"],
            "target": config["target"],
            "target_value": config["target_value"],
            "max_chars": config["max_chars"],
            "input": ", ".join(config["input"]),
            "label_field": config["label_field"],
            "positive_labels": ", ".join(config["positive_labels"]),
            "positive": ", ".join(config["positive"]),
            "negative": ", ".join(config["negative"]),
        },
    )


def _row(name: str, found: Mapping[str, Any], *, is_own: bool) -> tuple[str | int | float | None, ...]:
    return (
        name,
        found["texts"],
        found["positive"],
        f"{found['threshold']:.3f}{'' if is_own else ' *'}",
        _interval(found["precision"]),
        _interval(found["recall"]),
        found["f1"],
        found["average_precision"],
    )


def _interval(found: Mapping[str, float] | None) -> str | None:
    return None if found is None else f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
