"""Which language a document is in: a guess, checked against itself and against the label that came with the
document.

An identifier that is restricted to the configured languages always names one of them, for Swahili and for
base64 too. So a guess is believed only where the unrestricted model, after close variants are merged, names
the same language (the agreement guard) with enough probability; or, for languages that are hard to tell apart
(Bosnian, Croatian), where the label that came with the document names it and the unrestricted model gives it
a fair chance. Labels of crawls are wrong often enough that a sure guess overrules them; where the guess is
not sure, a label of a configured language decides; where neither does, the document is dropped, and the
reason says which case it was.

Not checked: documents in several languages (they go by the main one), and text beyond the first
`SAMPLE_LENGTH` characters.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from conan_data.errors import UserError
from conan_data.language.markup import strip_code

SAMPLE_LENGTH = 4000
"""Characters at the start of a text that are looked at."""
VARIANTS = {"wuu": "zh", "yue": "zh", "arz": "ar", "ary": "ar", "apc": "ar", "nn": "no"}
"""Labels that are merged into another one, unless they are configured themselves."""
FAIR_CHANCE = 0.1
"""Smallest probability among all languages at which a label backs a guess that the agreement guard would
refuse.
"""
LABEL_ALIASES = {"nb": "no", "cmn": "zh", "zho": "zh", "arb": "ar", "iw": "he", "in": "id", "fil": "tl"}
"""Declared labels that the identifier calls otherwise."""
NO_LANGUAGE = "zxx"
"""What the identifier answers to text that is in no language."""


@dataclass(frozen=True, slots=True)
class Guess:
    """The most probable configured language and the most probable of all.

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


@dataclass(frozen=True, slots=True)
class Verdict:
    """The language of a document, or (`lang` empty) the reason why it has none of the configured ones."""

    lang: str
    score: float | None
    reason: str = ""
    detail: str = ""


class Identifier(Protocol):
    """Guesses languages of texts that hold no code; deterministic. `known` are the labels that it could ever
    answer.
    """

    known: frozenset[str]

    def guess(self, text: str) -> Guess: ...


class LangidIdentifier:
    """py3langid (BSD licence; the model comes with the package, no network), restricted to `languages`."""

    def __init__(self, languages: Sequence[str]) -> None:
        """Raises `UserError` for a language that the model does not know."""
        self._model = _load_model()
        self.known = frozenset(self._model.labels) - {NO_LANGUAGE}
        for name in languages:
            if name not in self.known:
                known = sorted(self.known)
                nearest = difflib.get_close_matches(read_label(name), known, n=1, cutoff=0.0)[0]
                raise UserError(
                    f"languages: {name!r} is no language that can be recognised; the nearest is {nearest!r}, known are {', '.join(known)}"
                )
        self._languages = frozenset(languages)
        self._inside = {
            label: merged
            for label in self.known
            if (merged := merge_variant(label, self._languages)) in self._languages
        }

    def guess(self, text: str) -> Guess:
        """The guess for a text without code; see `Guess`."""
        ranked = self._model.rank(text)
        open_label, open_score = ranked[0]
        inside = [(label, score) for label, score in ranked if label in self._inside]
        label, chance = inside[0]
        score = chance / max(sum(score for _, score in inside), 1e-30)
        return Guess(
            self._inside[label], score, chance, merge_variant(open_label, self._languages), open_score
        )


def decide(guess: Guess | None, declared: str, *, languages: frozenset[str], min_score: float) -> Verdict:
    """The language of a document with this guess (None: no text was left to guess from) and this declared
    label ("" where it has none).
    """
    backed = guess is not None and guess.lang == declared and guess.chance >= FAIR_CHANCE
    if guess and (guess.agrees or backed) and guess.score >= min_score:
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
    prose = strip_code(text[:SAMPLE_LENGTH])
    guess = identifier.guess(prose) if prose else None
    return decide(guess, declared, languages=languages, min_score=min_score)


def merge_variant(label: str, languages: frozenset[str]) -> str:
    """`label`, or the language that it is a variant of unless it is configured itself."""
    return label if label in languages else VARIANTS.get(label, label)


def read_label(value: object) -> str:
    """A declared label (`pt_BR`, `zh-Hant`, `NB`) in the form of the identifier's; "" for none."""
    if not isinstance(value, str) or not value.strip():
        return ""
    primary = _primary(value)
    return LABEL_ALIASES.get(primary, primary)


def _primary(label: str) -> str:
    return label.strip().lower().replace("_", "-").split("-")[0]


@cache
def _load_model() -> Any:
    import numpy as np
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    model.nb_ptc = model.nb_ptc.astype(
        np.float32
    )  # converted once, not once a text: a third faster, the same scores
    return model
