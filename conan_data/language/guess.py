"""What every identifier of languages answers."""

import difflib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from conan_data.errors import UserError
from conan_data.language.labels import read_label

NO_LANGUAGE = "zxx"
"""What an identifier answers to text that is in no language."""


class Guess(NamedTuple):
    """The most probable configured language ("" where none is probable) and the most probable of all.

    `score` is the first one's probability among the configured languages, `chance` among all; `open_score` is
    the second one's among all.
    """

    lang: str
    score: float
    chance: float
    open_lang: str
    open_score: float

    @property
    def agrees(self) -> bool:
        return self.lang == self.open_lang


NO_GUESS = Guess("", 0.0, 0.0, NO_LANGUAGE, 0.0)
"""For a text that says nothing."""


class Identifier(Protocol):
    """Guesses languages of texts that hold no code; deterministic. `known` are the labels that it could ever
    answer, scripts of Chinese aside.
    """

    known: frozenset[str]

    def guess(self, text: str) -> Guess: ...


def check_languages(languages: Sequence[str], known: frozenset[str]) -> None:
    """Raises `UserError`, with the nearest that are, for a language that is not in `known`."""
    for name in languages:
        if name not in known:
            nearest = difflib.get_close_matches(read_label(name), sorted(known), n=3, cutoff=0.0)
            raise UserError(
                f"languages: {name!r} is no language that can be recognised; the nearest are {', '.join(nearest)}"
            )
