"""What the rules need to know of a text: a few dozen counts, taken in one pass.

The pass is compiled (`kernel`); where numba cannot be imported, numpy takes the same counts (`arrays`), some
thirty times slower. Both return integers, so a rule cannot decide otherwise with one than with the other.
"""

import unicodedata
from collections.abc import Sequence
from enum import IntEnum, auto
from typing import Protocol

import numpy as np

LONG_WORD = 24
"""Letters of the longest words that are common in prose of any language."""
PHRASE, LONG_PHRASE = (5, 10), (10, 20)
"""Units of a phrase and of a long one: words, or letters of scripts without spaces."""
TOP_PHRASES = ((2, 3, 4), (4, 6, 8))
"""Units of the phrases that may not fill a text, likewise."""
TOP_TIMES = 4
"""Times from which on a phrase is one that comes again and again."""
MIXED_SWITCHES, MIXED_LENGTH = 3, 4
"""A word is mixed if it changes between digits, small letters and capitals that often, and at least once in
that many characters. A capital before a small letter is no change.
"""
LETTERS_A_WORD = 2
"""Of scripts without spaces, about."""
HASH_SLOTS = 1024


class Count(IntEnum):
    """Places of the counts. `PASSAGE`, `PROSE` and the length of a line are in letters (see `characters`)."""

    UNITS = 0
    UNSPACED = auto()
    VISIBLE = auto()
    LETTERS = auto()
    WORDS = auto()
    WORD_CHARS = auto()
    LONG_WORD_CHARS = auto()
    MIXED_WORD_CHARS = auto()
    ALPHABETIC = auto()
    """Units with a letter."""
    PASSAGE = auto()
    PROSE = auto()
    """What stands in passages of sentence length."""
    SENTENCES = auto()
    LINES = auto()
    """Lines with letters; the next five are some of them."""
    FRAGMENTS = auto()
    SHORT_LINES = auto()
    ENDED_LINES = auto()
    BULLET_LINES = auto()
    ELLIPSIS_LINES = auto()
    CODE_LINES = auto()
    """Lines that end with `;` or a curly brace."""
    ALL_LINES = auto()
    """Lines that are not blank."""
    REPEATED_LINES = auto()
    LINE_CHARS = auto()
    REPEATED_LINE_CHARS = auto()
    PARAGRAPHS = auto()
    """What blank lines separate."""
    REPEATED_PARAGRAPHS = auto()
    REPEATED_PARAGRAPH_CHARS = auto()
    RUNNING_WORDS = auto()
    """Words, and letters of scripts without spaces at `LETTERS_A_WORD` to one."""
    PHRASES = auto()
    REPEATED_PHRASES = auto()
    LONG_PHRASES = auto()
    REPEATED_LONG_PHRASES = auto()
    UNIT_CHARS = auto()
    TOP_PHRASE = auto()
    """Characters in the most frequent phrase of `TOP_PHRASES`, shortest first."""
    TOP_PHRASE_2 = auto()
    TOP_PHRASE_3 = auto()
    HASHES = auto()
    ELLIPSES = auto()
    BRACES = auto()
    STOP_WORDS = auto()
    """Stop words of the language, each once."""


class StopTable:
    """Stop words by the hash of a unit: in small letters, capitalised, and in capitals.

    `hashes` is an open hash table (uint64 [HASH_SLOTS], 0: empty) with the number of the word in `numbers`.
    """

    def __init__(self, words: Sequence[str]) -> None:
        assert len(words) <= 64, "the numbers of the words found are bits of one integer"
        self.num_words = len(words)
        self.hashes = np.zeros(HASH_SLOTS, dtype=np.uint64)
        self.numbers = np.zeros(HASH_SLOTS, dtype=np.uint8)
        for number, word in enumerate(words):
            word = unicodedata.normalize("NFC", word)
            for form in (word, word.capitalize(), word.upper()):
                self._add(unit_hash(form), number)

    def _add(self, value: int, number: int) -> None:
        slot = value % HASH_SLOTS
        while int(self.hashes[slot]) not in (0, value):
            slot = (slot + 1) % HASH_SLOTS
        self.hashes[slot], self.numbers[slot] = value, number


class Measure(Protocol):
    """Counts of a text without lone surrogates, by `Count`; passages and lines of fewer than
    `sentence_letters` letters are short.
    """

    def __call__(self, text: str, *, sentence_letters: int, stop: StopTable) -> list[int]: ...


BASE = 0x9E3779B97F4A7C15
"""Odd, so that no place in a word loses bits of its code points."""
UNIT_BASE = 0xD1342543DE82EF95


def unit_hash(word: str) -> int:
    """The hash of a unit: the polynomial in `BASE` of its code points, modulo 2**64."""
    value = 0
    for sign in word:
        value = (value * BASE + ord(sign)) % 2**64
    return value
