"""Which versions of the queries are to be made: the choice of languages for each query."""

import logging
from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa

from conan_data.xlr.config import BuildXlrConfig
from conan_data.xlr.languages import match
from conan_data.xlr.mix import choose, normalise
from conan_data.xlr.translators import Translator

log = logging.getLogger(__name__)

VERSIONS = {"query": pl.UInt32, "language": pl.String, "is_source": pl.Boolean}
"""Columns of a table of versions: the row of the query, the language that it is to be had in ("" where the mix has none
for it), and whether that is its own.
"""


def assign(config: BuildXlrConfig, queries: pa.Table, translators: Sequence[Translator]) -> pl.DataFrame:
    """Return the versions to make (`VERSIONS`), query by query as they stand in the set, each query's languages in
    alphabetical order.
    """
    versions = pl.DataFrame(_versions(config, queries, translators), schema=VERSIONS, orient="row")
    for language in sorted(config.mix.keys() - set(versions["language"].unique())):
        log.warning("mix: no query can be had in %s, or none was chosen", language)
    return versions


def _versions(
    config: BuildXlrConfig, queries: pa.Table, translators: Sequence[Translator]
) -> Iterator[tuple[int, str, bool]]:
    mix = normalise(config.mix)
    labels = queries.column("lang").to_pylist()
    matched: dict[str, str | None] = {label: match(label, mix) for label in set(labels)}
    for place, (name, label) in enumerate(zip(queries.column("_id").to_pylist(), labels, strict=True)):
        own = matched[label]
        available = _available(translators, name)
        if available is not None and own is not None:
            available |= {own}
        chosen = choose(name, mix, count=config.num_languages, seed=config.seed, available=available)
        for language in sorted(chosen):
            yield place, language, language == own
        if not chosen:
            is_source = config.unmatched == "source"
            yield place, label if is_source else "", is_source


def _available(translators: Sequence[Translator], query_id: str) -> frozenset[str] | None:
    """The languages that one of the translators can give; None: any."""
    found: frozenset[str] = frozenset()
    for translator in translators:
        languages = translator.available(query_id)
        if languages is None:
            return None
        found |= languages
    return found
