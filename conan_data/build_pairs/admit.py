"""Clean both sides of candidates, and refuse those that are no pair by themselves.

What only the other pairs can tell (duplicates, boilerplate, caps) is decided later (see `settle`), from the keys that
are computed here: hashes of the sides without regard to case.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl

from conan_data.build_pairs.clean import clean_lines, clean_texts
from conan_data.build_pairs.config import BuildPairsConfig
from conan_data.build_pairs.kinds import COLUMNS, SYMMETRIC
from conan_data.build_pairs.untranslated import are_in, copied_share

KEYS = ("pair", "query_key", "document_key", "host_key")
"""Columns that `admit` adds, uint64."""
NUM_EXAMPLES = 5
"""Dropped pairs of each kind and reason that are kept to look at."""
SHOWN = 500
_ODD = 0x9E3779B97F4A7C15


class Admitted(NamedTuple):
    """What became of the candidates of a frame."""

    pairs: pl.DataFrame
    """Those that may stay, with their `KEYS`."""
    refused: pl.DataFrame
    """The others, with their `reason`."""
    num_cut: int
    """Sides that were cut to the largest length."""


@dataclass
class Refusals:
    """Candidates that were refused: how many by kind and reason, and the first of each."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, frame: pl.DataFrame) -> None:
        """Count the candidates of a frame by their `kind` and `reason`."""
        for kind, reason, count in frame.group_by("kind", "reason", maintain_order=True).len().iter_rows():
            wanted = NUM_EXAMPLES - min(NUM_EXAMPLES, self.counts[kind, reason])
            self.counts[kind, reason] += count
            if wanted:
                rows = frame.filter((pl.col("kind") == kind) & (pl.col("reason") == reason)).head(wanted)
                shown = [pl.col(name).str.slice(0, SHOWN) for name in ("query", "document")]
                self.examples += rows.select(
                    "kind", "reason", *shown, "lang_query", "lang_document", "source", "group"
                ).to_dicts()

    def by_reason(self) -> dict[str, int]:
        """Return the counts by reason."""
        total: Counter[str] = Counter()
        for (_, reason), count in self.counts.items():
            total[reason] += count
        return dict(total)


def admit(frame: pl.DataFrame, config: BuildPairsConfig) -> Admitted:
    """Clean the candidates of one source, and part those that may stay from the others."""
    rules = config.rules_of(frame.get_column("source")[0])
    is_symmetric = frame.get_column("kind")[0] in SYMMETRIC
    clean_query = clean_texts if is_symmetric else clean_lines
    frame = frame.with_columns(
        clean_query(frame.get_column("query")).alias("query"),
        clean_texts(frame.get_column("document")).alias("document"),
    )
    num_cut = 0
    for side in ("query", "document") if is_symmetric else ("document",):
        if (frame.get_column(side).str.len_bytes() > rules.max_document).any():
            long = pl.col(side).str.len_chars() > rules.max_document
            num_cut += frame.select(long.sum()).item()
            frame = frame.with_columns(pl.col(side).str.slice(0, rules.max_document).str.strip_chars())
    if is_symmetric:
        frame = _both_ways(frame)
    frame = frame.with_columns(
        folded_query=pl.col("query").str.to_lowercase(), folded_document=pl.col("document").str.to_lowercase()
    )
    query, document = pl.col("query").str, pl.col("document").str
    max_query = rules.max_document if is_symmetric else rules.max_query
    min_document = rules.min_query if is_symmetric else rules.min_document
    reason = (
        pl.when(query.len_bytes() == 0).then(pl.lit("empty-query"))
        .when(document.len_bytes() == 0).then(pl.lit("empty-document"))
        .when(query.len_chars() < rules.min_query).then(pl.lit("query-too-short"))
        .when(query.len_chars() > max_query).then(pl.lit("query-too-long"))
        .when(document.len_chars() < min_document).then(pl.lit("document-too-short"))
        .when(pl.col("folded_query") == pl.col("folded_document")).then(pl.lit("same-sides"))
    )  # fmt: skip
    frame = frame.with_columns(reason=reason)
    frame = frame.with_columns(_untranslated(frame, config))
    refused = frame.filter(pl.col("reason").is_not_null())
    if refused.height:
        frame = frame.filter(pl.col("reason").is_null())
    return Admitted(_with_keys(frame).select(*COLUMNS, *KEYS), refused, num_cut)


def _both_ways(frame: pl.DataFrame) -> pl.DataFrame:
    """Half the pairs, by their hashes, the other way round."""
    swap = pl.col("query").hash() % 2 == 1
    return frame.with_columns(
        query=pl.when(swap).then("document").otherwise("query"),
        document=pl.when(swap).then("query").otherwise("document"),
        lang_query=pl.when(swap).then("lang_document").otherwise("lang_query"),
        lang_document=pl.when(swap).then("lang_query").otherwise("lang_document"),
    )


def _untranslated(frame: pl.DataFrame, config: BuildPairsConfig) -> pl.Series:
    """The reasons, with those of sides that are not in their language."""
    reasons = frame.get_column("reason")
    is_aligned = frame.get_column("kind")[0] in SYMMETRIC
    if config.check_language == "none" or (config.check_language == "aligned" and not is_aligned):
        return reasons
    found = np.zeros(frame.height, bool)
    copied = np.zeros(frame.height, bool)
    rows = frame.with_row_index("row").filter(pl.col("reason").is_null())
    if is_aligned:
        for (query, document), part in rows.group_by("lang_query", "lang_document", maintain_order=True):
            rows_of = part.get_column("row").to_numpy()
            queries, documents = part.get_column("query").to_list(), part.get_column("document").to_list()
            # Two translations of one source may both be left in its language.
            languages = {str(query), str(document), config.source_language}
            found[rows_of] = [
                any(outcomes)
                for outcomes in zip(
                    *(are_in(rival, queries, language=str(query)) for rival in sorted(languages - {query})),
                    *(
                        are_in(rival, documents, language=str(document))
                        for rival in sorted(languages - {document})
                    ),
                )
            ]
            copied[rows_of] = [
                copied_share(one, two) > config.max_untranslated for one, two in zip(queries, documents)
            ]
    else:
        rows = rows.filter(pl.col("lang_document") != config.source_language)
        for (language,), part in rows.group_by("lang_document", maintain_order=True):
            texts = part.get_column("document").to_list()
            found[part.get_column("row").to_numpy()] = are_in(
                config.source_language, texts, language=str(language)
            )
    if not found.any() and not copied.any():
        return reasons
    return (
        frame.select(
            pl.when(pl.Series(found)).then(pl.lit("source-language"))
            .when(pl.Series(copied)).then(pl.lit("untranslated"))
            .otherwise(reasons).alias("reason")
        ).get_column("reason")
    )  # fmt: skip


def _with_keys(frame: pl.DataFrame) -> pl.DataFrame:
    """A side's key holds the language of the other one, so that translations into several languages are not repeats."""
    query, document = (frame.get_column(f"folded_{side}").hash().to_numpy() for side in ("query", "document"))
    other_query, other_document = (
        frame.get_column(f"lang_{side}").hash().to_numpy() for side in ("document", "query")
    )
    keys = (query * np.uint64(_ODD) + document, query + other_query, document + other_document)
    host = frame.select(
        pl.when(pl.col("host") == "").then(pl.lit(0, pl.UInt64)).otherwise(pl.col("host").hash())
    ).to_series()
    return frame.with_columns(
        *(pl.Series(name, values) for name, values in zip(KEYS, keys)), host.alias("host_key")
    )
