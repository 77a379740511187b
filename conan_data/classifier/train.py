"""`conan-data train-classifier`: from labelled texts to a fastText classifier that the corpus builder can use,
with thresholds that are chosen and figures that are measured on texts it was not trained on.

One half of what is held out chooses the thresholds and the other is reported: a threshold looks better on the
texts that it was chosen on than it is. The artifact holds the model (fastText's own format), `thresholds.json`,
`report.json` and a card.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conan_data import artifact
from conan_data.cards.card import default_card
from conan_data.classifier.config import TrainClassifierConfig
from conan_data.classifier.examples import (
    PARTS,
    REPORT,
    TRAIN,
    TUNE,
    Example,
    classifier_files,
    read_examples,
)
from conan_data.classifier.fit import fit, write_lines
from conan_data.classifier.measure import choose_threshold, measure
from conan_data.classifier.model import KIND, THRESHOLDS, load_model, score_lines

log = logging.getLogger(__name__)


def train_classifier(config: TrainClassifierConfig) -> Path:
    """Trains and publishes; returns the artifact's directory.

    Raises `UserError` for rows without labels or text, one class only, and too few rows.
    """
    files = [
        file for paths in (config.input, config.positive, config.negative) for file in classifier_files(paths)
    ]
    with artifact.building(config, kind=KIND, command="conan-data train-classifier", inputs=files) as build:
        if build.done:
            return build.out
        examples = read_examples(config)
        lines = build.work / "lines.txt"
        write_lines(((example.line, example.positive) for example in examples.parts[TRAIN]), lines)
        log.info("training on %s texts", f"{len(examples.parts[TRAIN]):,}")
        model = load_model(fit(lines, build.dir, config.fasttext, seed=config.seed))
        tune, report = (_Scored(model, examples.parts[part]) for part in (TUNE, REPORT))
        thresholds = find_thresholds(tune, config)
        results = {
            "target": {config.target: config.target_value, "reached_on_tune": thresholds.pop("reached")},
            "parts": {
                part: {
                    "texts": len(examples.parts[part]),
                    "positive": sum(example.positive for example in examples.parts[part]),
                }
                for part in PARTS
            },
            **report_figures(report, thresholds),
        }
        _write_json(build.dir / THRESHOLDS, thresholds)
        _write_json(build.dir / "report.json", results)
        _log_results(results)
        rows = artifact.Rows(read=examples.read, kept=examples.kept, dropped=examples.dropped)
        extra = results | {"labels": dict(sorted(examples.labels.items()))} | examples.account.to_json()
        return build.publish(rows=rows, extra=extra, card=default_card)


class _Scored:
    """Examples of one part as arrays: scores float32 [N], classes bool [N], languages str [N]."""

    def __init__(self, model: Any, examples: Sequence[Example]) -> None:
        self.scores = score_lines(model, [example.line for example in examples])
        self.positive = np.array([example.positive for example in examples], dtype=bool)
        self.langs = np.array([example.lang for example in examples])

    def languages(self) -> list[str]:
        return sorted({str(lang) for lang in self.langs} - {""})


def find_thresholds(tune: _Scored, config: TrainClassifierConfig) -> dict[str, Any]:
    """`overall`, `languages` (those with enough texts of both classes) and whether each `reached` the
    target.
    """
    overall, reached = choose_threshold(
        tune.scores, tune.positive, target=config.target, value=config.target_value
    )
    own, own_reached = {}, {}
    for lang in tune.languages():
        here = tune.langs == lang
        num_positive = int(tune.positive[here].sum())
        if min(num_positive, int(here.sum()) - num_positive) >= config.min_held_out:
            own[lang], own_reached[lang] = choose_threshold(
                tune.scores[here], tune.positive[here], target=config.target, value=config.target_value
            )
    return {"overall": overall, "languages": own, "reached": {"overall": reached, "languages": own_reached}}


def report_figures(report: _Scored, thresholds: dict[str, Any]) -> dict[str, Any]:
    """`overall` (each text at the threshold of its language) and `languages`, each with the threshold and
    whether it is the language's own.
    """
    own = thresholds["languages"]
    used = np.array([own.get(lang, thresholds["overall"]) for lang in report.langs.tolist()])
    by_language = {}
    for lang in report.languages():
        here = report.langs == lang
        by_language[lang] = {
            "threshold": own.get(lang, thresholds["overall"]),
            "own_threshold": lang in own,
            **measure(report.scores[here], report.positive[here], used[here]),
        }
    overall = {"threshold": thresholds["overall"], **measure(report.scores, report.positive, used)}
    return {"overall": overall, "languages": by_language}


def _log_results(results: dict[str, Any]) -> None:
    overall, target = results["overall"], results["target"]
    if not target["reached_on_tune"]["overall"]:
        log.warning("no threshold reaches the target; the one with the highest precision is used")
    parts = [
        f"{name} {found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
        for name in ("precision", "recall")
        if (found := overall[name]) is not None
    ]
    log.info("held out: %s, average precision %.3f", ", ".join(parts), overall["average_precision"])


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
