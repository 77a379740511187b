"""Builds a cross-lingual retrieval set: the queries of an existing set in a mix of languages, over its
passages as they are.

The rows that are counted are versions of queries: `read` = query rows that could not be used + (query,
language) pairs that were chosen + queries that can be had in no language of the mix. Each is kept, or dropped
for one reason, and every refused translation is in `dropped.jsonl`, every unusable row (of queries, passages,
judgements or translations) in `quarantine.jsonl`. A query's id in the result is `<id>@<language>`, for its
own language too: no two versions share one, whatever the ids look like.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from conan_data import artifact, tables
from conan_data.cards.card import default_card
from conan_data.errors import UserError
from conan_data.manifest import TIMES
from conan_data.models.locate import model_input
from conan_data.public_names import published_value
from conan_data.readers import quarantine
from conan_data.retrieval import RetrievalSplit, write_split
from conan_data.xlr.account import account, count_rows
from conan_data.xlr.assign import assign
from conan_data.xlr.checks import Checker
from conan_data.xlr.config import BuildXlrConfig
from conan_data.xlr.judgements import expand
from conan_data.xlr.languages import english_name, match
from conan_data.xlr.outcome import Outcome, translate
from conan_data.xlr.report.report import measure_encoder, write_report
from conan_data.xlr.sets import read_sets, resolve_sets
from conan_data.xlr.splits import divide
from conan_data.xlr.translators.open import account_of, open_answers, open_translators, translator_inputs

COMMAND = "conan-data build-xlr"


def build_xlr(config: BuildXlrConfig) -> Path:
    """Publish the set, an artifact of kind `retrieval`, and return where it is.

    Raises `UserError` for an unknown language, a missing key or input, an endpoint that does not work, or
    when nothing is left.
    """
    for language in config.mix:
        english_name(language)
    sets = resolve_sets(config.named_sets)
    with artifact.building(
        config,
        kind="retrieval",
        command=COMMAND,
        inputs=[*(each.data for each in sets.values()), *translator_inputs(config), *_models(config)],
        resume=config.keeps_answers or bool(config.checks.nearest.model),
    ) as build:
        if build.done:
            return build.out
        sources = read_sets(sets, seed=config.seed)
        split = sources.split
        answers = open_answers(config, build.dir)
        named = f"{_named(config)}, split {config.split!r}"
        translators = open_translators(config, split, tuple(config.mix), answers, data=named)
        broken_translations = [row for each in translators.values() for row in each.broken]
        versions = assign(config, split.queries, list(translators.values()))
        outcome = translate(
            versions,
            split.queries,
            list(translators.values()),
            Checker(config.checks, prompt=config.asked_prompt, directory=build.work / "vectors"),
            work=build.work / "answers",
            workers=config.workers,
        )
        if config.splits:
            outcome = divide(outcome, config.splits, seed=config.seed)
        if not outcome.kept.height:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in outcome.reasons().items())
            raise UserError(f"{_named(config)}: no query is left ({reasons})")
        result = _result(outcome, split, config.mix)
        _write_splits(build.dir, config, result, outcome)
        roots = [*(each.data for each in config.named_sets.values()), config.table.path]
        quarantine([*split.broken, *broken_translations], build.dir / "quarantine.jsonl", below=roots)
        answers.close() if config.cache else answers.remove()
        extra = account(config, sources, broken_translations, outcome, result)
        if used := account_of(translators, spent=False):
            extra["translators"] = used
            (build.dir / TIMES).write_bytes(orjson.dumps(account_of(translators, spent=True)) + b"\n")
        if figures := measure_encoder(config.report, outcome, result):
            extra["encoder"] = {"model": published_value(config.report.encoder), **figures}
        write_report(build.dir, config, extra, outcome)
        return build.publish(rows=count_rows(split, outcome), extra=extra, card=default_card)


def _models(config: BuildXlrConfig) -> list[str | Path]:
    """The encoders that are read."""
    named = {"report.encoder": config.report.encoder, "checks.nearest.model": config.checks.nearest.model}
    return [model_input(name, field=field) for field, name in named.items() if name]


def _named(config: BuildXlrConfig) -> str:
    """What is built from, as the user named it."""
    return ", ".join(each.data for each in config.named_sets.values())


def _result(outcome: Outcome, split: RetrievalSplit, mix: Iterable[str]) -> RetrievalSplit:
    """What is kept, of all splits."""
    kept = outcome.kept.to_arrow()
    return replace(
        split,
        queries=tables.check(kept.select(tables.XLR_QUERIES.names), tables.XLR_QUERIES, "queries"),
        corpus=_labelled(split.corpus, mix),
        qrels=expand(split.qrels, split.corpus, kept),
    )


def _write_splits(directory: Path, config: BuildXlrConfig, result: RetrievalSplit, outcome: Outcome) -> None:
    """Write what is kept, each split over all documents, and `dropped.jsonl`."""
    if not config.splits:
        write_split(directory, config.written_splits[0], result)
    for name in config.splits:
        of_split = outcome.kept["split"] == name
        queries = result.queries.filter(of_split.to_arrow())
        judged = pc.is_in(result.qrels.column("query-id"), queries.column("_id"))
        write_split(directory, name, replace(result, queries=queries, qrels=result.qrels.filter(judged)))
    with open(directory / "dropped.jsonl", "wb") as file:
        for rows in outcome.dropped.iter_slices():
            file.writelines(orjson.dumps(row) + b"\n" for row in rows.iter_rows(named=True))


def _labelled(corpus: pa.Table, mix: Iterable[str]) -> pa.Table:
    """The documents under the labels of the mix, as the queries are: where it holds `pt`, a page in `pt_BR` is in
    the language of a query in `pt`.
    """
    names = {label: match(label, mix) or label for label in corpus.column("lang").unique().to_pylist()}
    frame = pl.DataFrame(pl.from_arrow(corpus)).with_columns(pl.col("lang").replace(names))
    return tables.check(frame.to_arrow(), tables.CORPUS, "corpus")
