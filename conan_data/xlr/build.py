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
import pyarrow as pa

from conan_data import artifact, tables
from conan_data.chat.key import read_key
from conan_data.errors import UserError
from conan_data.readers import Broken, quarantine
from conan_data.retrieval import RetrievalSplit, read_retrieval, write_split
from conan_data.sources import resolve
from conan_data.xlr.account import account, count_languages, count_rows
from conan_data.xlr.assign import assign
from conan_data.xlr.card import write_card
from conan_data.xlr.checks import Checker
from conan_data.xlr.config import BuildXlrConfig
from conan_data.xlr.judgements import expand
from conan_data.xlr.languages import english_name, match
from conan_data.xlr.outcome import Outcome, translate
from conan_data.xlr.translators import Translator
from conan_data.xlr.translators.endpoint import EndpointTranslator
from conan_data.xlr.translators.table import TableTranslator, read_table

COMMAND = "conan-data build-xlr"
ANSWERS = "answers.jsonl"
"""Where an endpoint's answers lie while the set is being built."""


def build_xlr(config: BuildXlrConfig) -> Path:
    """Publish the set, an artifact of kind `retrieval`, and return where it is.

    Raises `UserError` for an unknown language, a missing key or input, an endpoint that does not work, or
    when nothing is left.
    """
    for language in config.mix:
        english_name(language)
    data = resolve(config.data, "retrieval")
    inputs = [data, config.table.path] if config.translator == "table" and config.table.path else [data]
    with artifact.building(
        config, kind="retrieval", command=COMMAND, inputs=inputs, resume=config.translator == "endpoint"
    ) as build:
        if build.done:
            return build.out
        if config.translator == "endpoint":
            read_key(config.endpoint.api_key_env)
        split = read_retrieval(data, config.split, group_regex=config.group_regex)
        translator, broken_translations = _translator(config, split, build.dir)
        versions = assign(config, split, translator)
        outcome = translate(versions, translator, Checker(config.checks))
        if not outcome.kept:
            raise UserError(f"{config.data}: no query is left ({outcome.reasons()})")
        result = _result(outcome, split, config.mix)
        _write(build.dir, config, result, outcome, [*split.broken, *broken_translations], translator.name)
        (build.dir / ANSWERS).unlink(missing_ok=True)
        return build.publish(
            rows=count_rows(split, versions, outcome),
            extra=account(config, split, broken_translations, versions, outcome, result),
        )


def _translator(
    config: BuildXlrConfig, split: RetrievalSplit, directory: Path
) -> tuple[Translator, list[Broken]]:
    if config.translator == "endpoint":
        return EndpointTranslator(config.endpoint, directory / ANSWERS), []
    rows, refused = (
        read_table(config.table.path) if config.table.path else (split.translations.to_pylist(), [])
    )
    if not rows:
        raise UserError(
            f"{config.table.path or config.data}: has no translations of split {config.split!r}; give table.path, or translator endpoint"
        )
    return TableTranslator(rows, config.mix), refused


def _result(outcome: Outcome, split: RetrievalSplit, mix: Iterable[str]) -> RetrievalSplit:
    rows = pa.Table.from_pylist(
        outcome.kept, schema=pa.schema([*tables.XLR_QUERIES, pa.field("origin", pa.string())])
    )
    return replace(
        split,
        queries=rows.drop_columns(["origin"]),
        corpus=_labelled(split.corpus, mix),
        qrels=expand(split.qrels, split.corpus, rows),
    )


def _labelled(corpus: pa.Table, mix: Iterable[str]) -> pa.Table:
    """The documents under the labels of the mix, as the queries are: where it holds `pt`, a page in `pt_BR` is in
    the language of a query in `pt`.
    """
    labels = corpus.column("lang").to_pylist()
    names = {label: match(label, mix) or label for label in set(labels)}
    place = corpus.schema.get_field_index("lang")
    return corpus.set_column(place, corpus.schema.field(place), pa.array([names[label] for label in labels]))


def _write(
    directory: Path,
    config: BuildXlrConfig,
    result: RetrievalSplit,
    outcome: Outcome,
    broken: list[Broken],
    translator: str,
) -> None:
    write_split(directory, config.written_split, result)
    write_card(
        directory,
        split=config.written_split,
        translator=translator,
        by_language=count_languages(result.queries),
        num_documents=result.corpus.num_rows,
        num_judgements=result.qrels.num_rows,
    )
    quarantine(broken, directory / "quarantine.jsonl", below=[config.data, config.table.path])
    with open(directory / "dropped.jsonl", "wb") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in outcome.dropped)
