"""What a built set's manifest says beyond the row counts: languages asked for and reached, and what was dropped."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from conan_data.artifact import Rows
from conan_data.readers import Broken
from conan_data.retrieval import RetrievalSplit
from conan_data.xlr.assign import Version
from conan_data.xlr.config import BuildXlrConfig
from conan_data.xlr.mix import normalise
from conan_data.xlr.outcome import Outcome


def count_rows(split: RetrievalSplit, versions: list[Version], outcome: Outcome) -> Rows:
    """Return what became of the query rows and versions; see `conan_data.xlr.build` for what is counted."""
    broken_queries = Counter(split.parts["queries"].dropped)
    return Rows(
        read=broken_queries.total() + len(versions),
        kept=len(outcome.kept),
        dropped=broken_queries + Counter(row["reason"] for row in outcome.dropped),
    )


def account(
    config: BuildXlrConfig,
    split: RetrievalSplit,
    broken_translations: Iterable[Broken],
    versions: list[Version],
    outcome: Outcome,
    result: RetrievalSplit,
) -> dict[str, Any]:
    """Return the extra part of the manifest."""
    kept = count_languages(result.queries)
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
        "corpus_by_language": count_languages(result.corpus),
        "judgements": result.qrels.num_rows,
        "broken_rows": _broken_rows(split, broken_translations),
        **({"unused": list(split.unused)} if split.unused else {}),
    }


def count_languages(table: pa.Table) -> dict[str, int]:
    """Return the number of rows by language."""
    return dict(sorted(Counter(table.column("lang").to_pylist()).items()))


def _broken_rows(split: RetrievalSplit, translations: Iterable[Broken]) -> dict[str, dict[str, int]]:
    """Reasons by part of the set, for what the row counts leave out."""
    found = {name: Counter(rows.dropped) for name, rows in split.parts.items()}
    found.setdefault("translations", Counter()).update(row.reason for row in translations)
    return {part: dict(sorted(reasons.items())) for part, reasons in sorted(found.items()) if reasons}
