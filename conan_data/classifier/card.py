"""The card of a classifier: what it tells apart, from which texts, and how well on texts it never saw."""

from pathlib import Path
from typing import Any

from conan_data.classifier.config import TrainClassifierConfig
from conan_data.public_names import published_value


def write_card(directory: Path, config: TrainClassifierConfig, results: dict[str, Any]) -> None:
    """Writes `README.md`."""
    looked_for = (
        f"rows of {_named(config.input)} whose `{config.label_field}` is {', '.join(config.positive_labels)}"
        if config.input
        else f"rows of {_named(config.positive)}, against rows of {_named(config.negative)}"
    )
    parts = results["parts"]
    rows = [_row("all", results["overall"], own=True)]
    rows += [_row(lang, found, own=found["own_threshold"]) for lang, found in results["languages"].items()]
    table = "\n".join(rows)
    body = f"""# Text classifier

Positive class: {looked_for}.
A fastText model, trained on {_texts(parts["train"])}.
It reads the first {config.max_chars:,} characters of a text.
Thresholds are set for a {config.target} of {config.target_value} on {_texts(parts["tune"])}.
The figures are from a third part, {_texts(parts["report"])}. In brackets: Wilson intervals, 95%.

| language | texts | positive | threshold | precision | recall | F1 | average precision |
|---|---|---|---|---|---|---|---|
{table}

\\* too few held-out texts for a threshold of its own (`min_held_out`): the one over all is used.

The figures hold for texts like these. Measure on your own before you drop anything by it. `manifest.json` names the inputs and counts the
rows that were not used; `report.json` holds the figures in full.
"""
    (directory / "README.md").write_text(body, encoding="utf-8")


def _named(inputs: tuple[str, ...]) -> str:
    return ", ".join(map(published_value, inputs))


def _row(name: str, found: dict[str, Any], *, own: bool) -> str:
    threshold = f"{found['threshold']:.3f}{'' if own else ' *'}"
    shares = " | ".join(_share(found[key]) for key in ("precision", "recall"))
    return (
        f"| {name} | {found['texts']:,} | {found['positive']:,} | {threshold} | {shares} "
        f"| {_number(found['f1'])} | {_number(found['average_precision'])} |"
    )


def _share(found: dict[str, Any] | None) -> str:
    return "-" if found is None else f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _texts(part: dict[str, int]) -> str:
    return f"{part['texts']:,} texts ({part['positive']:,} positive)"
