"""Which language a document is in: a guess, checked against itself and against the label that came with the
document.

An identifier that is restricted to the configured languages always names one of them, for Swahili and for
base64 too. So a guess is believed only where the unrestricted model, after close variants are merged, names
the same language (the agreement guard) with enough probability; or, for languages that are hard to tell apart
(Bosnian, Croatian), where the label that came with the document names it and the unrestricted model gives it
a fair chance. Labels of crawls are wrong often enough that a sure guess overrules them; where the guess is
not sure, a label of a configured language decides; where neither does, the document is dropped, and the
reason says which case it was.

Chinese counts as one language unless a recipe names `zh-Hans` or `zh-Hant`; then its characters decide which
one a document is in.

Not checked: documents in several languages (they go by the main one), and what comes after the first
`PROSE_BYTES` of prose or `SAMPLE_LENGTH` characters in all.
"""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from conan_data.errors import UserError
from conan_data.language.chinese import chinese_script
from conan_data.language.labels import (
    CHINESE,
    CHINESE_SCRIPTS,
    read_label,
    without_scripts,
)
from conan_data.language.markup import strip_code

SAMPLE_LENGTH = 4000
"""Characters at the start of a text that are looked at."""
PROSE_BYTES = 600
"""Bytes of it, code and markup left aside, that a guess is made from; on real pages 300 do worse and 4000 no
better.
"""
FAIR_CHANCE = 0.1
"""Smallest probability among all languages at which a label backs a guess that the agreement guard would
refuse.
"""
NO_LANGUAGE = "zxx"
"""What an identifier answers to text that is in no language."""
FASTTEXT = "fasttext:"


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


class Verdict(NamedTuple):
    """The language of a document, or (`lang` empty) the reason why it has none of the configured ones."""

    lang: str
    score: float | None
    reason: str = ""
    detail: str = ""


class Identifier(Protocol):
    """Guesses languages of texts that hold no code; deterministic. `known` are the labels that it could ever
    answer, scripts of Chinese aside.
    """

    known: frozenset[str]

    def guess(self, text: str) -> Guess: ...


def load_identifier(name: str, languages: Iterable[str]) -> Identifier:
    """`langid`, or `fasttext:PATH` for a model of the user's own.

    Raises `UserError` for a language that the model does not know, and for a file that is no such model.
    """
    known_by = sorted(without_scripts(frozenset(languages)))
    if model := model_file(name):
        from conan_data.language.fasttext import FasttextIdentifier

        return FasttextIdentifier(model, known_by)
    from conan_data.language.langid import LangidIdentifier

    return LangidIdentifier(known_by)


def model_file(name: str) -> Path | None:
    """The file that an identifier is loaded from; None for the one that is installed with the package."""
    return Path(name.removeprefix(FASTTEXT)) if name.startswith(FASTTEXT) else None


def check_languages(languages: Sequence[str], known: frozenset[str]) -> None:
    """Raises `UserError`, with the nearest that are, for a language that is not in `known`."""
    for name in languages:
        if name not in known:
            nearest = difflib.get_close_matches(read_label(name), sorted(known), n=3, cutoff=0.0)
            raise UserError(
                f"languages: {name!r} is no language that can be recognised; the nearest are {', '.join(nearest)}"
            )


def decide(guess: Guess | None, declared: str, *, languages: frozenset[str], min_score: float) -> Verdict:
    """The language of a document with this guess (None: no text was left to guess from) and this declared
    label ("" where it has none).
    """
    backed = guess is not None and guess.lang == declared and guess.chance >= FAIR_CHANCE
    if guess and guess.lang and (guess.agrees or backed) and guess.score >= min_score:
        return Verdict(guess.lang, round(guess.score, 4))
    if guess and not guess.agrees and guess.open_score >= min_score:
        reason = "no-language" if guess.open_lang == NO_LANGUAGE else "other-language"
        return Verdict("", None, reason, guess.open_lang)
    if declared in languages:
        return Verdict(declared, None)
    return Verdict("", None, "unsure-language", guess.open_lang if guess else "")


def identify(
    text: str, declared: str, *, identifier: Identifier, languages: frozenset[str], min_score: float
) -> Verdict:
    """The language of `text`, code and markup left aside."""
    sample = text[:SAMPLE_LENGTH]
    prose = strip_code(sample, PROSE_BYTES)
    guess = identifier.guess(prose) if prose else None
    if not languages.isdisjoint(CHINESE_SCRIPTS):
        guess, declared = split_chinese(guess, declared, sample, languages=languages)
    return decide(guess, declared, languages=languages, min_score=min_score)


def split_chinese(
    guess: Guess | None, declared: str, text: str, *, languages: frozenset[str]
) -> tuple[Guess | None, str]:
    """A guess and a label that name Chinese, in the script that `text` is written in.

    A text that both scripts write alike is in the declared one, or else in a configured one.
    """
    if CHINESE not in (declared, guess and guess.lang, guess and guess.open_lang):
        return guess, declared
    script = chinese_script(text) or (
        declared if declared in languages & CHINESE_SCRIPTS else min(languages & CHINESE_SCRIPTS)
    )
    if guess and guess.lang == CHINESE:
        inside = script in languages
        guess = guess._replace(lang=script) if inside else guess._replace(lang="", score=0.0, chance=0.0)
    if guess and guess.open_lang == CHINESE:
        guess = guess._replace(open_lang=script)
    return guess, script if declared == CHINESE else declared
