"""What a built set's manifest says beyond the row counts: languages asked for and reached, and what was dropped."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import polars as pl
import pyarrow as pa

from conan_data.artifact import Rows
from conan_data.readers import Broken
from conan_data.retrieval import RetrievalSplit
from conan_data.xlr.config import BuildXlrConfig
from conan_data.xlr.mix import normalise
from conan_data.xlr.outcome import Outcome
from conan_data.xlr.sets import Sources


def count_rows(split: RetrievalSplit, outcome: Outcome) -> Rows:
    """Return what became of the query rows and versions; see `conan_data.xlr.build` for what is counted."""
    left_out = Counter(split.parts["queries"].dropped)
    return Rows(
        read=left_out.total() + outcome.versions.height,
        kept=outcome.kept.height,
        dropped=left_out + Counter(outcome.reasons()),
    )


def account(
    config: BuildXlrConfig,
    sources: Sources,
    broken_translations: Iterable[Broken],
    outcome: Outcome,
    result: RetrievalSplit,
) -> dict[str, Any]:
    """Return the extra part of the manifest; `result` holds what is kept, of all splits."""
    split = sources.split
    kept = count_languages(result.queries)
    chosen = outcome.versions.filter(pl.col("language") != "")
    return {
        "rows_are": "unusable query rows + (query, language) pairs chosen + queries that can be had in no language of the mix",
        "sources": sources.described,
        "split": config.written_splits[0],
        "queries_by_language": kept,
        "mix_asked": normalise(config.mix),
        "mix_reached": {language: count / outcome.kept.height for language, count in kept.items()},
        "chosen_by_language": _counts(chosen, "language"),
        "dropped_by_language": _matrix(
            outcome.dropped.with_columns(pl.col("lang").replace("", "none")), "lang", "reason"
        ),
        "kept_by_translator": _counts(outcome.kept.filter(pl.col("translator").is_not_null()), "translator"),
        "corpus_by_language": count_languages(result.corpus),
        "directions": _directions(result),
        "judgements": result.qrels.num_rows,
        "broken_rows": _broken_rows(split, broken_translations),
        **({"unused": list(split.unused)} if split.unused else {}),
        **({"queries_by_split": _matrix(outcome.kept, "split", "lang")} if config.splits else {}),
    }


def count_languages(table: pa.Table) -> dict[str, int]:
    """Return the number of rows by language."""
    return _counts(pl.DataFrame(pl.from_arrow(table.select(["lang"]))), "lang")


def _directions(result: RetrievalSplit) -> dict[str, dict[str, int]]:
    """Judgements above 0, by the language of the query, then by that of the document."""
    queries = pl.DataFrame(pl.from_arrow(result.queries.select(["_id", "lang"])))
    documents = pl.DataFrame(pl.from_arrow(result.corpus.select(["_id", "lang"])))
    positives = (
        pl.DataFrame(pl.from_arrow(result.qrels))
        .filter(pl.col("score") > 0)
        .join(queries, left_on="query-id", right_on="_id")
        .join(documents, left_on="corpus-id", right_on="_id", suffix="_of_document")
    )
    return _matrix(positives, "lang", "lang_of_document")


def _counts(frame: pl.DataFrame, column: str) -> dict[str, int]:
    """Rows by the value of a column, in its order."""
    return dict(frame.group_by(column).len().sort(column).iter_rows())


def _matrix(frame: pl.DataFrame, row: str, column: str) -> dict[str, dict[str, int]]:
    """Rows by the values of two columns, both in their order."""
    found: dict[str, dict[str, int]] = {}
    for first, second, count in frame.group_by(row, column).len().sort(row, column).iter_rows():
        found.setdefault(first, {})[second] = count
    return found


def _broken_rows(split: RetrievalSplit, translations: Iterable[Broken]) -> dict[str, dict[str, int]]:
    """Reasons by part of the set, for what the row counts leave out."""
    found = {name: Counter(rows.dropped) for name, rows in split.parts.items()}
    found.setdefault("translations", Counter()).update(row.reason for row in translations)
    return {part: dict(sorted(reasons.items())) for part, reasons in sorted(found.items()) if reasons}
