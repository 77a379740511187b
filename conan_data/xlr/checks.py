"""What is refused as a translation: an empty one, the source again, one of an unlikely length, and one in
another language than asked for.

Language identification errs often on short technical texts, where most words are names, and a rule that asks
it for proof would throw away good translations in bulk. So the burden of proof lies the other way: a
translation is refused only where another language wins a choice of two against the one asked for, with
probability `max_rival`. The rivals are the source language, and the language that the identifier would choose
from all it knows. Between close relatives (Indonesian and Malay, Portuguese and Galician) such a choice is
seldom sure, so no list of relatives is needed.

Measured on 13,415 human translations of one-line command descriptions in 37 languages, with max_rival 0.95:
16 are refused (0.12%), most of them not translated at all; English sources offered as translations are
refused by 97%, translations into a third language by 99%. The unrestricted guess alone, believed from 0.5 on,
refuses 105, nearly all of them good (half of them Indonesian taken for Malay).

Lengths are compared in columns on a terminal (East Asian wide characters count two) with 3 added to both
sides, so that one bound serves all scripts and short texts: 14 of the same 13,415 are outside 0.2 to 4, and
say less or more than their source. Not checked: whether the meaning is right, and which script Chinese is in.
"""

import logging
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from conan_data.errors import UserError
from conan_data.language.guess import NO_LANGUAGE, Guess, Identifier
from conan_data.language.identify import load_identifier
from conan_data.language.labels import read_label
from conan_data.language.markup import strip_code
from conan_data.xlr.config import ChecksConfig

log = logging.getLogger(__name__)
SLACK = 3
"""Columns added to both lengths before they are compared."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A translation to be checked: `text` in `language` for the query `source` in `source_language`."""

    query_id: str
    text: str
    language: str
    source: str
    source_language: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome for one translation: why it is refused ("" where it is not), the checks it passed, and the
    identifier's first guess.
    """

    reason: str
    passed: tuple[str, ...] = ()
    lid: str | None = None
    lid_score: float | None = None


class Checker:
    """Checks translations: batches of single ones, then all of a language together."""

    def __init__(self, config: ChecksConfig) -> None:
        self._config = config
        self._unknown: set[str] = set()

    def check_all(self, candidates: Sequence[Candidate]) -> list[Checked]:
        """Return the outcome for each candidate of a batch; it depends on nothing but the candidate."""
        return [
            self.check(each.text, each.language, source=each.source, source_language=each.source_language)
            for each in candidates
        ]

    def check_together(self, candidates: Sequence[Candidate], sources: Iterable[str]) -> list[str]:
        """Return for each of all the translations of a set that `check_all` passed the reason why it is refused, ""
        where it is not. `sources` are all queries of the set.
        """
        return [""] * len(candidates)

    def check(self, text: str, language: str, *, source: str, source_language: str) -> Checked:
        """Whether `text` may stand for `source` in `language`."""
        reason, passed = self._check_form(text, source)
        if reason or not self._config.language:
            return Checked(reason, passed)
        target, origin = read_label(language), read_label(source_language)
        prose = strip_code(unicodedata.normalize("NFC", text))
        identifier = self._known(target)
        if not prose or identifier is None:
            return Checked("", passed)
        guess, rivals = self._rivals(prose, identifier, origin)
        if not guess.open_score:
            # The text says nothing about its language: that is no check passed.
            return Checked("", passed)
        surest = max(rivals, key=lambda name: (rivals[name], name), default="")
        if surest and rivals[surest] >= self._config.max_rival:
            reason = "source-language" if surest == origin else "other-language"
        return Checked(reason, passed if reason else (*passed, "language"), guess.open_lang, guess.open_score)

    def _check_form(self, text: str, source: str) -> tuple[str, tuple[str, ...]]:
        if not text.strip():
            return "empty", ()
        if self._config.refuse_same and _folded(text) == _folded(source):
            return "same-as-source", ("empty",)
        passed = ("empty", "same") if self._config.refuse_same else ("empty",)
        ratio = (_columns(text) + SLACK) / (_columns(source) + SLACK)
        if ratio < self._config.min_length_ratio:
            return "too-short", passed
        if ratio > self._config.max_length_ratio:
            return "too-long", passed
        return "", (*passed, "length")

    def _rivals(self, prose: str, target: Identifier, origin: str) -> tuple[Guess, dict[str, float]]:
        """The guess for the target, and the probability of each rival in a choice between it and the target."""
        guess = target.guess(prose)
        if guess.agrees:
            return guess, {}
        rivals = (
            {}
            if guess.open_lang == NO_LANGUAGE
            else {guess.open_lang: _share(guess.open_score, guess.chance)}
        )
        source = _identifier_of(origin)
        if source is not None and origin not in (guess.lang, guess.open_lang):
            rivals[origin] = _share(source.guess(prose).chance, guess.chance)
        return guess, rivals

    def _known(self, language: str) -> Identifier | None:
        """The identifier of the language asked for; says once where there is none."""
        identifier = _identifier_of(language)
        if identifier is None and language not in self._unknown:
            self._unknown.add(language)
            log.warning(
                "%s: the identifier does not know this language, so its translations are not checked for it",
                language,
            )
        return identifier


@cache
def _identifier_of(language: str) -> Identifier | None:
    """An identifier restricted to one language, or None where it does not know it."""
    try:
        return load_identifier("langid", (language,))
    except UserError:
        return None


def _share(rival: float, target: float) -> float:
    """The probability of `rival` in a choice of two."""
    return rival / max(rival + target, 1e-30)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
