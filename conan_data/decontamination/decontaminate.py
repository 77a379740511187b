"""`conan-data decontaminate`: what a training set shares with evaluation sets, and the set without it."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from conan_data import artifact
from conan_data.cards.card import default_card
from conan_data.decontamination.config import DecontaminateConfig
from conan_data.decontamination.evaluation import PASSAGE, Evaluation, evaluation_inputs, read_evaluation
from conan_data.decontamination.findings import Findings, Match
from conan_data.decontamination.index import Matches, TextIndex, comparable
from conan_data.decontamination.information import UnitCounts
from conan_data.decontamination.report import Report, write_report
from conan_data.decontamination.rows import Text
from conan_data.decontamination.training import TrainingSet, open_training
from conan_data.errors import UserError
from conan_data.manifest import read_manifest
from conan_data.progress import counting
from conan_data.readers import Broken
from conan_data.retrieval import FILES

if TYPE_CHECKING:
    from conan_data.decontamination.neighbours import Neighbours

log = logging.getLogger(__name__)

_TEXTS_A_BATCH, _CHARACTERS_A_BATCH = 4096, 1 << 22


@dataclass
class Scan:
    """What one pass over the training set has found."""

    findings: Findings
    units: UnitCounts = field(default_factory=UnitCounts)
    broken: list[Broken] = field(default_factory=list)
    num_texts: int = 0


def decontaminate(config: DecontaminateConfig) -> Path:
    """Publish the cleaned set with its report. Raises `UserError` for a set that is not there or of which nothing stays."""
    training = open_training(config)
    inputs = [*training.inputs(), *evaluation_inputs(config)]
    with artifact.building(
        config, kind=training.kind, command="conan-data decontaminate", inputs=inputs
    ) as build:
        if build.done:
            return build.out
        evaluation = read_evaluation(config.against, config.against_split, build.work / "evaluation.arrow")
        scan = _scan(config, training, evaluation)
        _judge(config, training, scan)
        removed = {
            key: finding.reason
            for key, finding in scan.findings.by_key.items()
            if finding.reason in config.remove and not config.report_only
        }
        versions = "translation-of-leak" in config.remove and not config.report_only
        outcome = training.write(build.dir, removed, scan.broken, versions=versions)
        rows = outcome.parts[training.main_part]
        if not rows.kept:
            raise UserError(
                f"set: nothing is left of {config.set} ({artifact.describe(rows)}); is it one of the evaluation sets?"
            )
        report = Report(config, training, evaluation, scan.findings, outcome, removed, scan.num_texts)
        numbers = write_report(build.dir, report)
        log.info("%s", numbers["headline"])
        account = _account(config, build.dir)
        # A set of somebody else keeps its own card, which says what no manifest does.
        card = None if account.get("layout") == FILES else default_card
        return build.publish(rows=rows, extra={**account, "contamination": numbers}, card=card)


def _account(config: DecontaminateConfig, written: Path) -> dict[str, Any]:
    """Return how the set in `written` is read: an artifact of ours as one, any other set by the names of its files; and of
    an artifact the sources that its manifest states, and the languages of a retrieval set that are left.
    """
    root = Path(config.set)
    before = read_manifest(root)["extra"] if artifact.is_artifact(root) else {"layout": FILES}
    if before.get("layout") == FILES:
        return {"layout": FILES}
    languages = {
        f"{part}_by_language": dict(sorted(Counter(pl.read_parquet(files, columns=["lang"])["lang"]).items()))
        for part in ("queries", "corpus")
        if (files := sorted(written.glob(f"{part}/*.parquet")))
    }
    return languages | {name: before[name] for name in ("sources",) if name in before}


def _scan(config: DecontaminateConfig, training: TrainingSet, evaluation: Evaluation) -> Scan:
    """Compare every text of the set with the evaluation texts."""
    index = TextIndex(
        evaluation.table.column("text"),
        evaluation.kinds_E != PASSAGE,
        ngram=config.ngram,
        containment=config.containment,
        near=config.near,
    )
    neighbours = _open_neighbours(config, training, evaluation)
    scan = Scan(Findings(evaluation, keep_passages="shared-passage" in config.remove))
    with counting("comparing", unit="text") as meter:
        for texts in _batches(config, training, scan):
            compared = [comparable(text.text) for text in texts]
            scan.units.add(compared)
            matches = index.match(compared)
            if neighbours is not None:
                matches = Matches.joined([matches, neighbours.match(texts)])
            _collect(scan.findings, texts, matches)
            scan.num_texts += len(texts)
            meter.advance(len(texts))
    return scan


def _batches(config: DecontaminateConfig, training: TrainingSet, scan: Scan) -> Iterator[list[Text]]:
    """Yield the texts of the parts that are compared, some thousand at a time; rows that cannot be read are kept aside."""
    wanted = set(config.parts)
    if wanted & {"positive", "negative"}:
        # What a document of a retrieval set is to its queries is looked up for those that are found.
        wanted.add("document")
    batch: list[Text] = []
    size = 0
    for text in training.texts.texts():
        if isinstance(text, Broken):
            scan.broken.append(text)
        elif text.part in wanted:
            batch.append(text)
            size += len(text.text)
            if len(batch) == _TEXTS_A_BATCH or size > _CHARACTERS_A_BATCH:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _collect(findings: Findings, texts: list[Text], matches: Matches) -> None:
    starts = np.flatnonzero(np.diff(matches.places, prepend=-1))
    columns = (matches.evaluations.tolist(), matches.methods.tolist(), matches.similarities.tolist())
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(matches.places)]):
        own = [Match(*values) for values in zip(*(column[start:end] for column in columns))]
        findings.add(texts[int(matches.places[start])], own)


def _judge(config: DecontaminateConfig, training: TrainingSet, scan: Scan) -> None:
    """Tell leaks from what two sets may share, and drop what was found of parts that were not asked for."""
    findings = scan.findings
    roles = training.roles(findings.by_key)
    for key, finding in list(findings.by_key.items()):
        finding.part = roles.get(key, finding.part)
        if finding.part not in config.parts:
            del findings.by_key[key]
    findings.judge(training.texts)
    findings.classify(scan.units, min_bits=config.min_bits)


def _open_neighbours(
    config: DecontaminateConfig, training: TrainingSet, evaluation: Evaluation
) -> "Neighbours | None":
    if not config.neighbours.model:
        return None
    # torch is imported where an encoder is asked for only.
    from conan_data.decontamination.neighbours import open_neighbours

    return open_neighbours(config, training.texts, evaluation)
