"""Builds a cross-lingual retrieval set: the queries of an existing set in a mix of languages, over its
passages as they are.

The rows that are counted are versions of queries: `read` = query rows that could not be used + (query,
language) pairs that were chosen + queries that can be had in no language of the mix. Each is kept, or dropped
for one reason, and every refused translation is in `dropped.jsonl`, every unusable row (of queries, passages,
judgements or translations) in `quarantine.jsonl`. A query's id in the result is `<id>@<language>`, for its
own language too: no two versions share one, whatever the ids look like.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from conan_data import artifact, tables
from conan_data.chat.key import read_key
from conan_data.errors import UserError
from conan_data.progress import progress
from conan_data.readers import Broken, quarantine
from conan_data.retrieval import RetrievalSplit, read_retrieval, write_split
from conan_data.sources import resolve
from conan_data.xlr.card import write_card
from conan_data.xlr.checks import Checker
from conan_data.xlr.config import BuildXlrConfig
from conan_data.xlr.judgements import expand
from conan_data.xlr.languages import english_name, match
from conan_data.xlr.mix import choose, normalise
from conan_data.xlr.translators import Failure, Request, Translation, Translator
from conan_data.xlr.translators.endpoint import EndpointTranslator
from conan_data.xlr.translators.table import TableTranslator, read_table

log = logging.getLogger(__name__)
COMMAND = "conan-data build-xlr"
ANSWERS = "answers.jsonl"
"""Where an endpoint's answers lie while the set is being built."""
NO_TRANSLATION = "no-translation"


@dataclass(frozen=True, slots=True)
class Version:
    """A query in one language: its own (`is_source`), or one to translate it into; `language` is empty where
    the mix has none for it.
    """

    query: dict[str, Any]
    language: str
    is_source: bool


@dataclass
class Outcome:
    """What became of the versions."""

    kept: list[dict[str, Any]]
    """Rows of `tables.XLR_QUERIES`, and `origin`, the id of the query that a row comes from."""
    dropped: list[dict[str, Any]]
    """Refused translations: query_id, lang, reason, source, text, translator."""


def build_xlr(config: BuildXlrConfig) -> Path:
    """Publishes the set, an artifact of kind `retrieval`, and returns where it is.

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
        outcome = _translate(config, versions, translator)
        result = _result(outcome, split, config.mix)
        _write(build.dir, config, result, outcome, [*split.broken, *broken_translations], translator.name)
        (build.dir / ANSWERS).unlink(missing_ok=True)
        broken_queries = Counter(split.parts["queries"].dropped)
        reasons = broken_queries + Counter(row["reason"] for row in outcome.dropped)
        rows = artifact.Rows(
            read=broken_queries.total() + len(versions), kept=len(outcome.kept), dropped=reasons
        )
        extra = {
            **_extra(config, versions, outcome, result),
            "broken_rows": _broken_rows(split, broken_translations),
            **({"unused": list(split.unused)} if split.unused else {}),
        }
        return build.publish(rows=rows, extra=extra)


def assign(config: BuildXlrConfig, split: RetrievalSplit, translator: Translator) -> list[Version]:
    """The versions to make, query by query as they stand in the set, each query's languages in alphabetical
    order.
    """
    mix = normalise(config.mix)
    matched: dict[str, str | None] = {
        label: match(label, mix) for label in set(split.queries.column("lang").to_pylist())
    }
    versions: list[Version] = []
    for query in split.queries.to_pylist():
        own = matched[query["lang"]]
        available = translator.available(query["_id"])
        if available is not None and own is not None:
            available |= {own}
        chosen = choose(
            query["_id"], mix, count=config.languages_per_query, seed=config.seed, available=available
        )
        versions += [Version(query, language, language == own) for language in sorted(chosen)]
        if not chosen:
            versions.append(
                Version(query, query["lang"], True)
                if config.unmatched == "source"
                else Version(query, "", False)
            )
    for language in sorted(mix.keys() - {version.language for version in versions}):
        log.warning("mix: no query can be had in %s, or none was chosen", language)
    return versions


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


def _translate(config: BuildXlrConfig, versions: list[Version], translator: Translator) -> Outcome:
    requests = (
        Request(version.query["_id"], version.query["text"], version.language)
        for version in versions
        if version.language and not version.is_source
    )
    checker = Checker(config.checks)
    outcome = Outcome([], [])
    with closing(translator.translate(requests)) as answers:
        for version in progress(versions, "translating", unit="query"):
            if version.is_source:
                outcome.kept.append({**_row(version, version.query["text"]), "checks": "source"})
            elif not version.language:
                outcome.dropped.append(_drop(version, NO_TRANSLATION))
            else:
                _take(next(answers), version, checker, outcome)
    if not outcome.kept:
        reasons = Counter(row["reason"] for row in outcome.dropped)
        raise UserError(
            f"{config.data}: no query is left ({', '.join(f'{reason} {count:,}' for reason, count in reasons.most_common())})"
        )
    return outcome


def _take(answer: Translation | Failure, version: Version, checker: Checker, outcome: Outcome) -> None:
    if isinstance(answer, Failure):
        outcome.dropped.append(_drop(version, answer.reason))
        return
    checked = checker.check(
        answer.text, version.language, source=version.query["text"], source_language=version.query["lang"]
    )
    if checked.reason:
        outcome.dropped.append(_drop(version, checked.reason, answer))
        return
    row = _row(version, answer.text)
    outcome.kept.append(
        {
            **row,
            "translator": answer.translator,
            "lid": checked.lid,
            "lid_score": checked.lid_score,
            "checks": " ".join(checked.passed),
        }
    )


def _row(version: Version, text: str) -> dict[str, Any]:
    origin = version.query["_id"]
    return {
        "_id": f"{origin}@{version.language}",
        "text": text,
        "lang": version.language,
        "source_id": version.query["source_id"],
        "origin": origin,
    }


def _drop(version: Version, reason: str, answer: Translation | None = None) -> dict[str, Any]:
    return {
        "query_id": version.query["_id"],
        "lang": version.language,
        "reason": reason,
        "source": version.query["text"],
        "text": answer.text if answer else None,
        "translator": answer.translator if answer else None,
    }


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
        by_language=_counts(result.queries),
        num_documents=result.corpus.num_rows,
        num_judgements=result.qrels.num_rows,
    )
    quarantine(broken, directory / "quarantine.jsonl", below=[config.data, config.table.path])
    with open(directory / "dropped.jsonl", "wb") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in outcome.dropped)


def _extra(
    config: BuildXlrConfig, versions: list[Version], outcome: Outcome, result: RetrievalSplit
) -> dict[str, Any]:
    kept = _counts(result.queries)
    dropped: dict[str, Counter[str]] = {}
    for row in outcome.dropped:
        dropped.setdefault(row["lang"] or "none", Counter())[row["reason"]] += 1
    return {
        "rows_are": "unusable query rows + (query, language) pairs chosen + queries that can be had in no language of the mix",
        "split": config.written_split,
        "queries_by_language": kept,
        "mix_asked": normalise(config.mix),
        "mix_reached": {language: count / len(outcome.kept) for language, count in kept.items()},
        "chosen_by_language": dict(
            sorted(Counter(version.language for version in versions if version.language).items())
        ),
        "dropped_by_language": {
            language: dict(sorted(reasons.items())) for language, reasons in sorted(dropped.items())
        },
        "corpus_by_language": _counts(result.corpus),
        "judgements": result.qrels.num_rows,
    }


def _counts(table: pa.Table) -> dict[str, int]:
    return dict(sorted(Counter(table.column("lang").to_pylist()).items()))


def _broken_rows(split: RetrievalSplit, translations: list[Broken]) -> dict[str, dict[str, int]]:
    """Reasons by part of the set, for what the row counts leave out."""
    found = {name: Counter(rows.dropped) for name, rows in split.parts.items()}
    found.setdefault("translations", Counter()).update(row.reason for row in translations)
    return {part: dict(sorted(reasons.items())) for part, reasons in sorted(found.items()) if reasons}
