"""What decides a cross-lingual retrieval set: the set it comes from, the languages asked for, who translates,
and what is refused.

Where an endpoint listens, how hard it is pressed and how its faults are met is no part of the identity: a run
that was interrupted may go on against another address, or with more patience, and keeps every answer it has.
"""

import dataclasses
import re
import string
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from conan_data.config import Config, StageConfig, execution, require
from conan_data.fields import (
    WORD,
    Count,
    FileName,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    Rule,
)
from conan_data.inputs import DataPath, RequiredDataPath

PROMPT = (
    "Translate this search query into {language}. Keep its meaning, and keep names, code and numbers as they are. "
    "Answer with the translation alone, without quotation marks or remarks.\n\n{text}"
)
_TAG = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*")
_URL = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")


def placeholders(*names: str) -> Rule:
    """Return the rule that the fields in braces of a prompt are `names`."""
    wanted = " and ".join(f"{{{name}}}" for name in sorted(names))
    text = f"must hold {wanted} and no other field in braces"
    return Rule(text, lambda prompt: _fields_in_braces(prompt) == set(names))


def _fields_in_braces(prompt: str) -> set[str]:
    """Names in braces of a format string; a set that no prompt may have where the braces do not match."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(prompt) if name is not None}
    except ValueError:
        return {"an open brace"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableConfig(Config):
    """Translations that exist already, such as those made by people."""

    path: DataPath = ""
    """File with query_id, lang, text and maybe origin (JSON lines, Parquet, CSV, TSV); empty: the
    translations beside the set's queries.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerConfig(Config):
    """A server with the OpenAI-compatible call `POST BASE_URL/chat/completions`; asked at temperature 0."""

    base_url: str = execution("")
    """Address up to the version, such as http://localhost:8000/v1."""
    model: str = ""
    """Name of the model as the server knows it."""
    api_key_env: str = execution("")
    """NAME of the environment variable that holds the key; empty: no key is sent."""
    max_tokens: Count = 512
    """Longest answer in tokens; a longer one is cut off, and dropped."""
    concurrency: Count = execution(8)
    """Requests in flight at once."""
    timeout: PositiveFloat = execution(60.0)
    """Seconds until a request counts as unanswered."""
    max_retries: NonNegativeInt = execution(6)
    """How often a request is sent again after a time-out, 429, 5xx or an unreadable answer."""
    backoff: NonNegativeFloat = execution(1.0)
    """Seconds before the first retry; they double with each one, up to 60, and never undercut what the server
    asks for.
    """
    max_failures: NonNegativeInt = execution(0)
    """Requests that may stay without a usable answer, and are dropped, before the run stops (it can be
    continued).
    """

    def check(self) -> None:
        super().check()
        require(
            not self.base_url or _URL.fullmatch(self.base_url) is not None,
            "base_url",
            self.base_url.rsplit("@", 1)[-1].split("?")[0],
            "must look like http://host:8000/v1, without user, password or parameters",
        )


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
    group_regex: str = ""
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
