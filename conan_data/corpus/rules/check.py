"""Rules that say why a document is no use: too short, no language, boilerplate, or the same again and again.

They look at lengths in units, at shares of letters, at passages between ends of sentences and separators, and
at repeats, and at no word of any language, so they hold for every script (a cookie banner is caught by its
buttons, a menu by its lines that end like no sentence). The first rule that a document breaks is its reason.
What they cannot see: well-formed prose that is useless, such as a licence text; repeats of it over documents
are the dedup's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from conan_data.corpus.characters import (
    CLOSER,
    DIGIT,
    LETTER,
    NEWLINE,
    SEPARATOR,
    SPACE,
    STOP,
    UNSPACED,
    WIDE_STOP,
    Characters,
    characters,
)
from conan_data.corpus.dedup.shingles import ngram_hashes, unit_hashes
from conan_data.corpus.rules.config import RulesConfig

PHRASE_WORDS, PHRASE_CHARS = 5, 10
"""Units of a phrase, by the kind of script."""
LONG_WORD = 24
"""Letters of the longest words that are common in prose of any language."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The rule that a document breaks, and the value that breaks it."""

    reason: str
    detail: str


def check(text: str, config: RulesConfig) -> Drop | None:
    """The first rule that `text` (normalised) breaks, None for a good one."""
    if not text:
        return Drop("empty", "0")
    if len(text) > config.max_chars:
        return Drop("too-long", f"{len(text)} characters")
    chars = characters(text)
    if chars.num_units < (config.min_chars if chars.unspaced else config.min_words):
        return Drop("too-short", f"{chars.num_units} {'letters' if chars.unspaced else 'words'}")
    for reason, share, least, most in _shares(text, chars, config):
        if (least > 0 or most < 1) and not least <= (value := share()) <= most:
            return Drop(reason, f"{value:.2f}")
    return None


def _shares(
    text: str, chars: Characters, config: RulesConfig
) -> Iterator[tuple[str, Callable[[], float], float, float]]:
    """The rules on shares: reason, how the share is found, and between what it must lie."""
    yield "few-letters", lambda: letter_share(chars), config.min_letters, 1.0
    yield "long-words", lambda: long_word_share(chars), 0.0, config.max_long_words
    passages = passage_letters(chars)
    prose, total = int(passages[passages >= config.sentence_letters].sum()), int(passages.sum())
    yield "little-prose", lambda: prose / max(total, 1), config.min_prose, 1.0
    if prose < config.fragment_prose:
        yield "fragment-lines", lambda: fragment_line_share(chars, config), 0.0, config.max_fragment_lines
    yield "repeated-lines", lambda: line_repeat_share(text), 0.0, config.max_line_repeats
    yield "repeated-phrases", lambda: phrase_repeat_share(chars), 0.0, config.max_phrase_repeats


def letter_share(chars: Characters) -> float:
    """Letters over characters that are not white space."""
    visible = int(np.count_nonzero((chars.kinds != SPACE) & (chars.kinds != NEWLINE)))
    letters = int(np.count_nonzero((chars.kinds == LETTER) | (chars.kinds == UNSPACED)))
    return letters / max(visible, 1)


def long_word_share(chars: Characters) -> float:
    """The share of letters and digits that stand in words of more than `LONG_WORD` of them, letters of
    scripts without spaces aside.
    """
    in_word = (chars.kinds == LETTER) | (chars.kinds == DIGIT)
    words = _sums(in_word, ~in_word)
    return int(words[words > LONG_WORD].sum()) / max(int(words.sum()), 1)


def passage_letters(chars: Characters) -> np.ndarray:
    """The length of each passage in letters; passages end at ends of sentences and lines, and at separators."""
    return _sums(chars.letters, (chars.kinds == NEWLINE) | (chars.kinds == SEPARATOR) | _sentence_ends(chars))


def fragment_line_share(chars: Characters, config: RulesConfig) -> float:
    """The share of lines with letters that are shorter than a sentence and do not end like one; 0 for texts
    of few lines.
    """
    newlines = chars.kinds == NEWLINE
    lines = _sums(chars.letters, newlines)
    ended = _sums(_sentence_ends(chars) & _last_of_line(chars), newlines) > 0
    num_lines = np.count_nonzero(lines)
    fragments = np.count_nonzero((lines > 0) & (lines < config.sentence_letters) & ~ended)
    return fragments / num_lines if num_lines >= config.fragment_lines else 0.0


def line_repeat_share(text: str) -> float:
    """The share of characters in lines that were there before."""
    seen: set[str] = set()
    repeated = total = 0
    for line in filter(None, map(str.strip, text.split("\n"))):
        total += len(line)
        repeated += len(line) if line in seen else 0
        seen.add(line)
    return repeated / max(total, 1)


def phrase_repeat_share(chars: Characters) -> float:
    """The share of phrases that were there before."""
    phrases = ngram_hashes(unit_hashes(chars), PHRASE_CHARS if chars.unspaced else PHRASE_WORDS)
    return 1.0 - len(np.unique(phrases)) / max(len(phrases), 1) if len(phrases) else 0.0


def _sums(values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Sums of `values` between the places where `ends` is true."""
    borders = np.concatenate(([0], np.flatnonzero(ends) + 1))
    return np.add.reduceat(np.append(values, 0).astype(np.int64), borders)


def _sentence_ends(chars: Characters) -> np.ndarray:
    """bool [N]: signs that end a sentence; a `STOP` does only before white space (closing signs aside), so
    not the dot of `3.14`.
    """
    following = _following(chars, chars.kinds == CLOSER)
    return (chars.kinds == WIDE_STOP) | (
        (chars.kinds == STOP) & ((following == SPACE) | (following == NEWLINE))
    )


def _last_of_line(chars: Characters) -> np.ndarray:
    """bool [N]: characters after which their line holds only closing signs and white space."""
    return _following(chars, (chars.kinds == CLOSER) | (chars.kinds == SPACE)) == NEWLINE


def _following(chars: Characters, skipped: np.ndarray) -> np.ndarray:
    """uint8 [N]: the kind of the next character that is not `skipped`; after the last one, a line end."""
    places = np.flatnonzero(np.append(~skipped, True))
    return np.append(chars.kinds, np.uint8(NEWLINE))[
        places[np.searchsorted(places, np.arange(1, len(skipped) + 1))]
    ]
