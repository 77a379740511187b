"""Who translates queries. A translator says what it can give, and answers requests one for one and in their
order.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from conan_data.chat.answers import Answers
from conan_data.readers import Broken


@dataclass(frozen=True, slots=True)
class Request:
    """A query to be had in `language`, one of the languages of the mix; `refused` is why the checks refused an earlier
    translation, where they did.
    """

    query_id: str
    text: str
    language: str
    source_language: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Translation:
    """A text, unchecked, and who wrote it."""

    text: str
    translator: str


@dataclass(frozen=True, slots=True)
class Failure:
    """No text, and why: a short reason to count by."""

    reason: str


@dataclass(frozen=True, slots=True)
class Task:
    """What a translator is opened for: languages to translate into and from, the translations beside the queries
    (`tables.TRANSLATIONS`), and where answers are kept.
    """

    data: str
    """The queries, for messages."""
    languages: Sequence[str]
    source_languages: Sequence[str]
    translations: pa.Table
    answers: Answers


class Translator(Protocol):
    """Translates queries into the languages of a mix. Its constructor makes sure that it can: it loads what it needs,
    and raises `UserError` for a missing key, a model that is none, or a language that it does not know.
    """

    name: str
    """Who translates, for the data card."""
    retries: bool
    """Whether it may give another translation where the checks refused one (`Request.refused`)."""

    broken: Sequence[Broken]
    """Rows of its inputs that it cannot use."""

    def available(self, query_id: str) -> frozenset[str] | None:
        """Languages that this query can be had in; None: in any."""
        ...

    def prepare(self, requests: Iterable[Request]) -> None:
        """Say what these requests will cost. Raises `UserError` where that is too much, or nobody would answer."""
        ...

    def translate(self, requests: Iterable[Request]) -> Generator[Translation | Failure]:
        """One answer a request, in their order. Raises `UserError` where going on makes no sense."""
        ...

    def used(self) -> dict[str, Any]:
        """Return what the answers cost, for the manifest: the same for every run of a job."""
        ...

    def spent(self) -> dict[str, Any]:
        """Return what this run took, times and all."""
        ...
