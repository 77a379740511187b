"""What decides a cross-lingual retrieval set: the set it comes from, the languages asked for, who translates,
and what is refused.

Where an endpoint listens, how hard it is pressed and how its faults are met is no part of the identity: a run
that was interrupted may go on against another address, or with more patience, and keeps every answer it has.
"""

import dataclasses
import math
import re
import string
from typing import Literal

from conan_data.config import StageConfig, execution, require, source

PROMPT = (
    "Translate this search query into {language}. Keep its meaning, and keep names, code and numbers as they are. "
    "Answer with the translation alone, without quotation marks or remarks.\n\n{text}"
)
_TAG = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*")
_URL = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableConfig:
    """Translations that exist already, such as those made by people."""

    path: str = source("")
    """File with query_id, lang, text and maybe origin (JSON lines, Parquet, CSV, TSV); empty: the
    translations beside the set's queries.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """A server with the OpenAI-compatible call `POST BASE_URL/chat/completions`; asked at temperature 0."""

    base_url: str = execution("")
    """Address up to the version, such as http://localhost:8000/v1."""
    model: str = ""
    """Name of the model as the server knows it."""
    api_key_env: str = execution("")
    """NAME of the environment variable that holds the key; empty: no key is sent."""
    max_tokens: int = 512
    """Longest answer in tokens; a longer one is cut off, and dropped."""
    concurrency: int = execution(8)
    """Requests in flight at once."""
    timeout: float = execution(60.0)
    """Seconds until a request counts as unanswered."""
    max_retries: int = execution(6)
    """How often a request is sent again after a time-out, 429, 5xx or an unreadable answer."""
    backoff: float = execution(1.0)
    """Seconds before the first retry; they double with each one, up to 60, and never undercut what the server
    asks for.
    """
    max_failures: int = execution(0)
    """Requests that may stay without a usable answer, and are dropped, before the run stops (it can be
    continued).
    """

    def __post_init__(self) -> None:
        require(
            not self.base_url or _URL.fullmatch(self.base_url) is not None,
            "endpoint.base_url",
            self.base_url.rsplit("@", 1)[-1].split("?")[0],
            "must look like http://host:8000/v1, without user, password or parameters",
        )
        require(self.max_tokens >= 1, "endpoint.max_tokens", self.max_tokens, "must be at least 1")
        require(self.concurrency >= 1, "endpoint.concurrency", self.concurrency, "must be at least 1")
        require(0 < self.timeout < math.inf, "endpoint.timeout", self.timeout, "must be above 0")
        require(self.max_retries >= 0, "endpoint.max_retries", self.max_retries, "must not be negative")
        require(0 <= self.backoff < math.inf, "endpoint.backoff", self.backoff, "must not be negative")
        require(self.max_failures >= 0, "endpoint.max_failures", self.max_failures, "must not be negative")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndpointConfig(ServerConfig):
    """The server that translates, and how it is asked to."""

    prompt: str = PROMPT
    """What is asked; {language} and {text} are filled in."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_placeholders(self.prompt, {"language", "text"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChecksConfig:
    """What is refused as a translation; an empty one always is."""

    language: bool = True
    """Refuse what is in the source language, or in another one than asked for."""
    max_rival: float = 0.95
    """Probability at which another language is believed, in a choice between it and the one asked for."""
    min_length_ratio: float = 0.2
    """Shortest translation, as a ratio to its source (in columns on a terminal, 3 added to both)."""
    max_length_ratio: float = 4.0
    """Longest translation, as a ratio to its source."""
    refuse_same: bool = True
    """Refuse a translation that is its source, letter case and white space aside."""

    def __post_init__(self) -> None:
        require(0.5 <= self.max_rival <= 1, "checks.max_rival", self.max_rival, "must be between 0.5 and 1")
        require(
            0 <= self.min_length_ratio < 1,
            "checks.min_length_ratio",
            self.min_length_ratio,
            "must be at least 0 and below 1",
        )
        require(
            self.max_length_ratio > 1, "checks.max_length_ratio", self.max_length_ratio, "must be above 1"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildXlrConfig(StageConfig):
    """A retrieval set in, the same passages with queries in many languages out."""

    data: str = source()
    """A BEIR folder, one of our retrieval sets, or `sample` for the one that comes with the package."""
    mix: dict[str, float]
    """Share of each language among the queries, such as {en: 25, zh: 12, es: 8}; divided by their sum."""
    translator: Literal["table", "endpoint"] = "table"
    """Who translates: a table of translations, or a model behind an OpenAI-compatible endpoint."""
    split: str = "train"
    """Split of the set that is read."""
    out_split: str = ""
    """Name of the split that is written; empty: the same."""
    languages_per_query: int = 1
    """Languages that each query gets, fewer where the translator has fewer."""
    unmatched: Literal["drop", "source"] = "drop"
    """A query that can be had in no language of the mix: dropped (`no-translation`), or kept as it is in its
    own language.
    """
    seed: int = 0
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

    def __post_init__(self) -> None:
        require(bool(self.mix), "mix", self.mix, "name at least one language with its share")
        for language, share in self.mix.items():
            require(
                _TAG.fullmatch(language) is not None,
                "mix",
                language,
                "must be a language code such as de or zh_TW",
            )
            require(0 < share < math.inf, f"mix.{language}", share, "must be above 0")
        same = [name.lower().replace("-", "_") for name in self.mix]
        require(len(set(same)) == len(same), "mix", sorted(self.mix), "names a language twice")
        require(
            self.translator in ("table", "endpoint"),
            "translator",
            self.translator,
            "must be table or endpoint",
        )
        require(self.unmatched in ("drop", "source"), "unmatched", self.unmatched, "must be drop or source")
        require(
            self.languages_per_query >= 1,
            "languages_per_query",
            self.languages_per_query,
            "must be at least 1",
        )
        require(
            self.languages_per_query <= len(self.mix),
            "languages_per_query",
            self.languages_per_query,
            f"the mix has only {len(self.mix)} languages",
        )
        for field in ("split", "out_split"):
            value = getattr(self, field)
            require(
                re.fullmatch(r"\w*", value) is not None,
                field,
                value,
                "must be letters, digits and underscores",
            )
        require(bool(self.split), "split", self.split, "must not be empty")
        if self.translator == "endpoint":
            require(
                bool(self.endpoint.base_url),
                "endpoint.base_url",
                self.endpoint.base_url,
                "is needed for translator endpoint, such as http://localhost:8000/v1",
            )
            require(
                bool(self.endpoint.model),
                "endpoint.model",
                self.endpoint.model,
                "is needed for translator endpoint",
            )

    @property
    def written_split(self) -> str:
        return self.out_split or self.split


def require_placeholders(prompt: str, wanted: set[str]) -> None:
    """Raises `UserError` unless the fields in braces of `prompt` are those that are `wanted`."""
    fields = _placeholders(prompt)
    require(
        fields == wanted,
        "endpoint.prompt",
        sorted(fields),
        f"must hold {' and '.join(f'{{{name}}}' for name in sorted(wanted))} and no other field in braces",
    )


def _placeholders(prompt: str) -> set[str]:
    """Names in braces of a format string; a set no prompt may have where the braces do not match."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(prompt) if name is not None}
    except ValueError:
        return {"an open brace"}
