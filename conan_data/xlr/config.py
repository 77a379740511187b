"""What decides a cross-lingual retrieval set: the set it comes from, the languages asked for, who translates,
and what is refused.
"""

import dataclasses
import re
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from conan_data.chat.config import ServerConfig, placeholders
from conan_data.config import Config, StageConfig, require
from conan_data.fields import WORD, Count, FileName, GroupRegex, NonNegativeInt, PositiveFloat
from conan_data.inputs import DataPath, RequiredDataPath

PROMPT = (
    "Translate this search query into {language}. Keep its meaning, and keep names, code and numbers as they are. "
    "Answer with the translation alone, without quotation marks or remarks.\n\n{text}"
)
_TAG = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableConfig(Config):
    """Translations that exist already, such as those made by people."""

    path: DataPath = ""
    """File with query_id, lang, text and maybe origin (JSON lines, Parquet, CSV, TSV); empty: the
    translations beside the set's queries.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndpointConfig(ServerConfig):
    """The server that translates, and how it is asked to."""

    prompt: Annotated[str, placeholders("language", "text")] = PROMPT
    """What is asked; {language} and {text} are filled in."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChecksConfig(Config):
    """What is refused as a translation; an empty one always is."""

    language: bool = True
    """Refuse what is in the source language, or in another one than asked for."""
    max_rival: Annotated[float, Ge(0.5), Le(1)] = 0.95
    """Probability at which another language is believed, in a choice between it and the one asked for."""
    min_length_ratio: Annotated[float, Ge(0), Lt(1)] = 0.2
    """Shortest translation, as a ratio to its source (in columns on a terminal, 3 added to both)."""
    max_length_ratio: Annotated[float, Gt(1)] = 4.0
    """Longest translation, as a ratio to its source."""
    refuse_same: bool = True
    """Refuse a translation that is its source, letter case and white space aside."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildXlrConfig(StageConfig):
    """A retrieval set in, the same passages with queries in many languages out."""

    data: RequiredDataPath
    """A BEIR folder, one of our retrieval sets, or `sample` for the one that comes with the package."""
    mix: Annotated[dict[str, PositiveFloat], MinLen(1)]
    """Share of each language among the queries, such as {en: 25, zh: 12, es: 8}; divided by their sum."""
    translator: Literal["table", "endpoint"] = "table"
    """Who translates: a table of translations, or a model behind an OpenAI-compatible endpoint."""
    split: Annotated[FileName, WORD] = "train"
    """Split of the set that is read."""
    out_split: Annotated[str, WORD] = ""
    """Name of the split that is written; empty: the same."""
    languages_per_query: Count = 1
    """Languages that each query gets, fewer where the translator has fewer."""
    unmatched: Literal["drop", "source"] = "drop"
    """A query that can be had in no language of the mix: dropped (`no-translation`), or kept as it is in its
    own language.
    """
    seed: NonNegativeInt = 0
    """Seed of the choice of languages."""
    group_regex: GroupRegex = ""
    """Regular expression whose first bracketed part, in a document's id, names its group, such as ^(.*)@ for
    page@de and page@fr.
    """
    table: TableConfig = dataclasses.field(default_factory=TableConfig)
    """Translations that exist already."""
    endpoint: EndpointConfig = dataclasses.field(default_factory=EndpointConfig)
    """The server that translates."""
    checks: ChecksConfig = dataclasses.field(default_factory=ChecksConfig)
    """What is refused as a translation."""

    def check(self) -> None:
        super().check()
        for language in self.mix:
            require(
                _TAG.fullmatch(language) is not None,
                "mix",
                language,
                "must be a language code such as de or zh_TW",
            )
        same = [name.lower().replace("-", "_") for name in self.mix]
        require(len(set(same)) == len(same), "mix", sorted(self.mix), "names a language twice")
        require(
            self.languages_per_query <= len(self.mix),
            "languages_per_query",
            self.languages_per_query,
            f"the mix has only {len(self.mix)} languages",
        )
        if self.translator == "endpoint":
            for name in ("base_url", "model"):
                value = getattr(self.endpoint, name)
                require(bool(value), f"endpoint.{name}", value, "is needed for translator endpoint")

    @property
    def written_split(self) -> str:
        return self.out_split or self.split
