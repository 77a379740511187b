"""Which versions of the queries are to be made: the choice of languages for each query."""

import logging
from dataclasses import dataclass
from typing import Any

from conan_data.retrieval import RetrievalSplit
from conan_data.xlr.config import BuildXlrConfig
from conan_data.xlr.languages import match
from conan_data.xlr.mix import choose, normalise
from conan_data.xlr.translators import Translator

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """A query in one language: its own (`is_source`), or one to translate it into; `language` is empty where
    the mix has none for it.
    """

    query: dict[str, Any]
    language: str
    is_source: bool


def assign(config: BuildXlrConfig, split: RetrievalSplit, translator: Translator) -> list[Version]:
    """Return the versions to make, query by query as they stand in the set, each query's languages in alphabetical
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
