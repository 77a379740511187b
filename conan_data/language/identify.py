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

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from conan_data.language.chinese import chinese_script
from conan_data.language.guess import NO_LANGUAGE, Guess, Identifier
from conan_data.language.labels import CHINESE, CHINESE_SCRIPTS, without_scripts
from conan_data.language.markup import strip_code
from conan_data.language.plain import composed

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
FASTTEXT = "fasttext:"


class Verdict(NamedTuple):
    """The language of a document, or (`lang` empty) the reason why it has none of the configured ones."""

    lang: str
    score: float | None
    reason: str = ""
    detail: str = ""


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


def decide(guess: Guess | None, declared: str, *, languages: frozenset[str], min_score: float) -> Verdict:
    """Return the language of a document with this guess (None: no text was left to guess from) and this declared
    label ("" where it has none). A text that says nothing, without a label, is in no language.
    """
    backed = guess is not None and guess.lang == declared and guess.chance >= FAIR_CHANCE
    if guess and guess.lang and (guess.agrees or backed) and guess.score >= min_score:
        return Verdict(guess.lang, round(guess.score, 4))
    if guess and not guess.agrees and guess.open_score >= min_score:
        reason = "no-language" if guess.open_lang == NO_LANGUAGE else "other-language"
        return Verdict("", None, reason, guess.open_lang)
    if declared in languages:
        return Verdict(declared, None)
    if guess is None or not guess.open_score:
        return Verdict("", None, "no-language")
    return Verdict("", None, "unsure-language", guess.open_lang)


def identify(
    text: str, declared: str, *, identifier: Identifier, languages: frozenset[str], min_score: float
) -> Verdict:
    """Return the language of `text`, code and markup left aside."""
    sample = composed(text, SAMPLE_LENGTH)
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
