"""Who translates queries. A translator says what it can give, and answers requests one for one and in their
order.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """A query to be had in `language`, one of the languages of the mix."""

    query_id: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Translation:
    """A text, unchecked, and who wrote it."""

    text: str
    translator: str


@dataclass(frozen=True, slots=True)
class Failure:
    """No text, and why: a short reason to count by."""

    reason: str


class Translator(Protocol):
    """Translates queries into the languages of a mix."""

    name: str
    """Who translates, for the data card."""

    def available(self, query_id: str) -> frozenset[str] | None:
        """Languages that this query can be had in; None: in any."""
        ...

    def translate(self, requests: Iterable[Request]) -> Generator[Translation | Failure]:
        """One answer a request, in their order. Raises `UserError` where going on makes no sense."""
        ...
