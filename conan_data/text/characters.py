"""What kind of character each code point is, as one table, so that a text is measured by a few array
operations in any script.

Rules written for English count words between spaces and look for the stop words of one language; they throw
clean Chinese and Russian away. Here a text is cut into *units*: each letter of a script without spaces is
one, and so is each run of other letters and digits. The cut is read off the characters themselves, so no rule
needs to know the language, and texts that mix both kinds (Japanese with English names) need no decision.
Lengths of passages are measured in letters, of which a Han, kana or Hangul character counts for three: words
do not compare, since Korean or Finnish says in three what takes English six.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache

import numpy as np

OTHER, LETTER, UNSPACED, DIGIT, SPACE, NEWLINE, SEPARATOR, STOP, WIDE_STOP, CLOSER = range(10)
"""Kinds. `LETTER` includes marks. A `SEPARATOR` stands between the entries of a menu, a `STOP` ends a
sentence before a space, a `WIDE_STOP` anywhere, and a `CLOSER` may stand between the end of a sentence and
the space after it. `OTHER` is what remains, symbols above all.
"""

UNSPACED_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3031, 0x312F),  # kana, Bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width kana
    (0x20000, 0x3FFFF),
)
SYLLABLES = (
    (0x3005, 0x3007),
    (0x3031, 0x312F),
    (0x31A0, 0x31FF),
    (0x3400, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Ranges of Han, kana and Hangul: one character stands for a syllable or a word."""
SYLLABLE_WEIGHT = 3
"""Letters that such a character counts for."""
SEPARATORS = "|•·‣⋅→←↑↓▪◦●○■□★☆©®™¦‖"
STOPS = ".!?…:;؟۔؛։՞՜।॥።፧፨᙮⸮‽‼⁇⁈⁉"
WIDE_STOPS = "。！？｡．：；"
CLOSERS = "\"'’”)]}»›*_`"


@cache
def kinds() -> np.ndarray:
    """uint8 [0x110000], the kind of every code point."""
    table = np.zeros(0x110000, dtype=np.uint8)
    # Unassigned planes hold nothing that a category could change.
    for code in (*range(0x323B0), *range(0xE0100, 0xE01F0)):
        category = unicodedata.category(chr(code))
        if category[0] in "LM":
            table[code] = LETTER
        elif category[0] == "N":
            table[code] = DIGIT
        elif category[0] == "Z":
            table[code] = SPACE
    for start, end in UNSPACED_RANGES:
        part = table[start : end + 1]
        part[part == LETTER] = UNSPACED
    for signs, kind in (
        (SEPARATORS, SEPARATOR),
        (STOPS, STOP),
        (WIDE_STOPS, WIDE_STOP),
        (CLOSERS, CLOSER),
        ("\n", NEWLINE),
        ("\t", SPACE),
    ):
        table[[ord(sign) for sign in signs]] = kind
    return table


@cache
def weights() -> np.ndarray:
    """uint8 [0x110000]: what every code point adds to the length of a text, in letters; digits and signs add
    nothing.

    Marks count, since the vowels of Indic and Thai words are marks.
    """
    table = np.zeros(0x110000, dtype=np.uint8)
    table[[code for code in range(0x323B0) if unicodedata.category(chr(code))[0] in "LM"]] = 1
    for start, end in SYLLABLES:
        table[start : end + 1] *= SYLLABLE_WEIGHT
    return table


@cache
def folds() -> np.ndarray:
    """uint32 [0x110000]: the code point without case of every code point.

    Simple case folding as Unicode has it: one character stays one character, so `ß` is not `ss`, `ﬁ` stays a
    ligature, and capital `ẞ` becomes `ß`.
    """
    table = np.arange(0x110000, dtype=np.uint32)
    # No script beyond this plane has case.
    for code in range(0x20000):
        sign = chr(code)
        folded = next((form for form in (sign.casefold(), sign.lower()) if len(form) == 1), sign)
        table[code] = ord(folded)
    return table


@cache
def spaces() -> np.ndarray:
    """bool [0x110000]: where `str.split` splits."""
    table = np.zeros(0x110000, dtype=bool)
    table[:0x3001] = [chr(code).isspace() for code in range(0x3001)]
    return table


@dataclass(frozen=True, slots=True)
class Characters:
    """A text of N characters as arrays: code points (uint32 [N]), their kinds (uint8 [N]), and where units
    begin (bool [N]).
    """

    codes: np.ndarray
    kinds: np.ndarray
    begins: np.ndarray

    @property
    def num_units(self) -> int:
        return int(np.count_nonzero(self.begins))

    @property
    def letters(self) -> np.ndarray:
        """int64 [N]: what each character adds to the length in letters."""
        return weights()[self.codes].astype(np.int64)

    @property
    def unspaced(self) -> bool:
        """Whether most units are letters of a script without spaces."""
        return 2 * int(np.count_nonzero(self.kinds == UNSPACED)) > self.num_units


def characters(text: str, *, fold: bool = False) -> Characters:
    """The arrays of `text`, which must hold no lone surrogates; with `fold` the code points are without case."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    if fold:
        codes = folds()[codes]
    found = kinds()[codes]
    in_word = (found == LETTER) | (found == DIGIT)
    begins = in_word | (found == UNSPACED)
    begins[1:] &= ~(in_word[1:] & in_word[:-1])
    return Characters(codes, found, begins)
