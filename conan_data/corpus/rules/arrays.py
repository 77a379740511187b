"""The counts of `measures` by numpy, for where numba cannot be imported: the same numbers, some thirty times slower.

Shapes: N characters, U units, W words, L lines, P paragraphs.
"""

import numpy as np

from conan_data.corpus.rules.measures import (
    BASE,
    LETTERS_A_WORD,
    LONG_PHRASE,
    LONG_WORD,
    MIXED_LENGTH,
    MIXED_SWITCHES,
    PHRASE,
    TOP_PHRASES,
    TOP_TIMES,
    UNIT_BASE,
    Count,
    StopTable,
)
from conan_data.text.characters import (
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

ELLIPSIS = 0x2026
Counts = dict[Count, int]


def measure(text: str, *, sentence_letters: int, stop: StopTable) -> list[int]:
    """See `measures.Measure`."""
    chars = characters(text)
    counts = _signs(chars) | _words(chars) | _passages(chars, sentence_letters)
    counts |= _lines(chars, sentence_letters) | _phrases(chars, stop)
    return [int(counts[name]) for name in Count]


def _signs(chars: Characters) -> Counts:
    dots = np.concatenate(([False], chars.codes == ord("."), [False, False]))
    triples = dots[1:-2] & dots[2:-1] & dots[3:] & ~dots[:-3]
    return {
        Count.UNITS: chars.num_units,
        Count.UNSPACED: _sum(chars.kinds == UNSPACED),
        Count.VISIBLE: _sum((chars.kinds != SPACE) & (chars.kinds != NEWLINE)),
        Count.LETTERS: _sum((chars.kinds == LETTER) | (chars.kinds == UNSPACED)),
        Count.HASHES: _sum(chars.codes == ord("#")),
        Count.ELLIPSES: _sum(triples) + _sum(chars.codes == ELLIPSIS),
        Count.BRACES: _sum((chars.codes == ord("{")) | (chars.codes == ord("}"))),
    }


def _words(chars: Characters) -> Counts:
    in_word = (chars.kinds == LETTER) | (chars.kinds == DIGIT)
    lengths = _sums(in_word, ~in_word)  # [W], with empty ones
    letters = _sums(chars.kinds == LETTER, ~in_word)
    mixed = (switches := _sums(_switches(chars, in_word), ~in_word)) >= MIXED_SWITCHES
    mixed &= switches * MIXED_LENGTH >= lengths
    return {
        Count.WORDS: _sum(lengths > 0),
        Count.WORD_CHARS: _sum(lengths),
        Count.RUNNING_WORDS: _sum(lengths > 0) + _sum(chars.kinds == UNSPACED) // LETTERS_A_WORD,
        Count.LONG_WORD_CHARS: _sum(lengths[lengths > LONG_WORD]),
        Count.MIXED_WORD_CHARS: _sum(lengths[mixed]),
        Count.ALPHABETIC: _sum(letters > 0) + _sum(chars.kinds == UNSPACED),
        Count.UNIT_CHARS: _sum(lengths) + _sum(chars.kinds == UNSPACED),
    }


def _switches(chars: Characters, in_word: np.ndarray) -> np.ndarray:
    """bool [N]: characters that are of another case (digit, capital, small) than the one before in their word;
    only ASCII counts.
    """
    switches = np.zeros(len(chars.codes), dtype=bool)
    places = np.flatnonzero(in_word & (chars.codes < 128))
    words = np.cumsum(~in_word)[places]
    cases = np.digitize(chars.codes[places], (ord("9") + 1, ord("Z") + 1))
    changed = (words[1:] == words[:-1]) & (cases[1:] != cases[:-1])
    changed &= ~((cases[:-1] == 1) & (cases[1:] == 2))
    switches[places[1:][changed]] = True
    return switches


def _passages(chars: Characters, sentence_letters: int) -> Counts:
    following = _following(chars, chars.kinds == CLOSER)
    stops = (chars.kinds == STOP) & ((following == SPACE) | (following == NEWLINE))
    ends = stops | (chars.kinds == WIDE_STOP) | (chars.kinds == NEWLINE) | (chars.kinds == SEPARATOR)
    letters = _sums(chars.letters, ends)
    prose = letters >= sentence_letters
    return {
        Count.PASSAGE: _sum(letters),
        Count.PROSE: _sum(letters[prose]),
        Count.SENTENCES: _sum(prose),
    }


def _lines(chars: Characters, sentence_letters: int) -> Counts:
    newlines = chars.kinds == NEWLINE
    visible = ~newlines & (chars.kinds != SPACE)
    numbers = np.cumsum(newlines) - newlines
    places = np.flatnonzero(visible)
    if len(places) == 0:
        return dict.fromkeys(_LINE_COUNTS, 0)
    starts = np.flatnonzero(np.diff(numbers[places], prepend=-1))
    first, last = places[starts], places[np.append(starts[1:], len(places)) - 1]  # [L]
    lengths = last - first + 1
    inside = np.repeat(first - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    begins = np.cumsum(lengths) - lengths
    hashes = _polynomials(chars.codes[inside] + 1, begins, BASE)
    opens = np.diff(numbers[first], prepend=-2) > 1  # the first lines of paragraphs
    paragraphs = np.flatnonzero(opens)
    paragraph_hashes = _polynomials(hashes, paragraphs, UNIT_BASE)
    repeated = _again(hashes)
    repeated_paragraphs = _again(paragraph_hashes)
    paragraph_chars = np.add.reduceat(lengths, paragraphs)
    return {
        Count.CODE_LINES: _sum(np.isin(chars.codes[last], [ord(sign) for sign in ";{}"])),
        Count.ALL_LINES: len(first),
        Count.LINE_CHARS: _sum(lengths),
        Count.REPEATED_LINES: _sum(repeated),
        Count.REPEATED_LINE_CHARS: _sum(lengths[repeated]),
        Count.PARAGRAPHS: len(paragraphs),
        Count.REPEATED_PARAGRAPHS: _sum(repeated_paragraphs),
        Count.REPEATED_PARAGRAPH_CHARS: _sum(paragraph_chars[repeated_paragraphs]),
    } | _line_ends(chars, first, last, np.add.reduceat(chars.letters[inside], begins) >= sentence_letters)


def _line_ends(chars: Characters, first: np.ndarray, last: np.ndarray, long: np.ndarray) -> Counts:
    """Counts of lines with letters: how they begin and end, by the places of their first and last characters
    and whether they are as long as a sentence (all [L]).
    """
    letters = np.concatenate(([0], np.cumsum(chars.letters)))
    has_letters = letters[last + 1] > letters[first]
    significant = np.where((chars.kinds != CLOSER) & (chars.kinds != SPACE), np.arange(len(chars.kinds)), -1)
    end = np.maximum(np.maximum.accumulate(significant)[last], first)
    ended = np.isin(chars.kinds[end], (STOP, WIDE_STOP))
    dots = chars.codes == ord(".")
    trails = (end - first >= 2) & dots[end] & dots[np.maximum(end - 1, 0)] & dots[np.maximum(end - 2, 0)]
    trails |= chars.codes[end] == ELLIPSIS
    bullets = np.isin(chars.codes[first], (ord("-"), ord("*"))) | (chars.kinds[first] == SEPARATOR)
    return {
        Count.LINES: _sum(has_letters),
        Count.FRAGMENTS: _sum(has_letters & ~long & ~ended),
        Count.SHORT_LINES: _sum(has_letters & ~long),
        Count.ENDED_LINES: _sum(has_letters & ended),
        Count.BULLET_LINES: _sum(has_letters & bullets),
        Count.ELLIPSIS_LINES: _sum(has_letters & trails),
    }


_LINE_COUNTS = tuple(name for name in Count if Count.LINES <= name <= Count.REPEATED_PARAGRAPH_CHARS)


def _phrases(chars: Characters, stop: StopTable) -> Counts:
    inside = (chars.kinds == LETTER) | (chars.kinds == UNSPACED) | (chars.kinds == DIGIT)
    begins = np.flatnonzero(chars.begins[inside])
    units = _polynomials(chars.codes[inside], begins, BASE)
    lengths = np.diff(begins, append=_sum(inside))
    script = int(2 * _sum(chars.kinds == UNSPACED) > len(units))
    found: Counts = {}
    for name, repeated, runs in (
        (Count.PHRASES, Count.REPEATED_PHRASES, PHRASE),
        (Count.LONG_PHRASES, Count.REPEATED_LONG_PHRASES, LONG_PHRASE),
    ):
        phrases = _ngrams(units, runs[script])
        phrases.sort()
        found[name], found[repeated] = len(phrases), _sum(phrases[1:] == phrases[:-1])
    for number, run in enumerate(TOP_PHRASES[script]):
        found[Count(Count.TOP_PHRASE + number)] = _top(_ngrams(units, run), lengths, run)
    taken = np.flatnonzero(stop.hashes)
    known = taken[np.isin(stop.hashes[taken], units)]
    return found | {Count.STOP_WORDS: len(set(stop.numbers[known].tolist()))}


def _top(phrases: np.ndarray, lengths: np.ndarray, run: int) -> int:
    """Most characters in one phrase that is there `TOP_TIMES` times, all its places together."""
    if len(phrases) == 0:
        return 0
    _, places, times = np.unique(phrases, return_index=True, return_counts=True)
    chars = np.convolve(lengths, np.ones(run, dtype=np.int64), "valid")[places]
    return int((times * chars * (times >= TOP_TIMES)).max())


def _ngrams(units: np.ndarray, run: int) -> np.ndarray:
    """uint64 [max(0, U - run + 1)]: the polynomial of each run of units."""
    total = np.zeros(max(len(units) - run + 1, 0), dtype=np.uint64)
    for offset in range(run):
        total = total * np.uint64(UNIT_BASE) + units[offset : offset + len(total)]
    return total


def _polynomials(values: np.ndarray, starts: np.ndarray, base: int) -> np.ndarray:
    """uint64: the polynomial in `base`, highest power first, of each stretch of `values` that begins at
    `starts`.
    """
    if len(starts) == 0:
        return np.zeros(0, dtype=np.uint64)
    lengths = np.diff(starts, append=len(values))
    powers = np.multiply.accumulate(np.append(np.uint64(1), np.full(int(lengths.max()), base, np.uint64)))
    exponents = np.repeat(starts + lengths, lengths) - np.arange(len(values)) - 1
    return np.add.reduceat(values.astype(np.uint64) * powers[exponents], starts)


def _again(hashes: np.ndarray) -> np.ndarray:
    """bool, likewise: values that were there before."""
    again = np.ones(len(hashes), dtype=bool)
    again[np.unique(hashes, return_index=True)[1]] = False
    return again


def _sum(values: np.ndarray) -> int:
    return int(values.sum())


def _sums(values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Sums of `values` between the places where `ends` is true."""
    borders = np.concatenate(([0], np.flatnonzero(ends) + 1))
    return np.add.reduceat(np.append(values, 0).astype(np.int64), borders)


def _following(chars: Characters, skipped: np.ndarray) -> np.ndarray:
    """uint8 [N]: the kind of the next character that is not `skipped`; after the last one, a line end."""
    places = np.flatnonzero(np.append(~skipped, True))
    return np.append(chars.kinds, np.uint8(NEWLINE))[
        places[np.searchsorted(places, np.arange(1, len(skipped) + 1))]
    ]
