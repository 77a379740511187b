"""The counts of `measures` in one compiled pass over the code points.

Repeats are found in open hash tables of 64-bit hashes that are at most half full.

Shapes: N characters, U units, L lines, P paragraphs.
"""

import numpy as np
from numba import types

from conan_data.compiling import njit
from conan_data.corpus.rules.measures import (
    BASE,
    HASH_SLOTS,
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
from conan_data.text import characters as chars

LETTER, UNSPACED, DIGIT, SPACE = chars.LETTER, chars.UNSPACED, chars.DIGIT, chars.SPACE
NEWLINE, SEPARATOR, STOP = chars.NEWLINE, chars.SEPARATOR, chars.STOP
WIDE_STOP, CLOSER = chars.WIDE_STOP, chars.CLOSER
HASH, OPEN_BRACE, CLOSE_BRACE, SEMICOLON, DOT, DASH, STAR, ELLIPSIS = map(ord, "#{};.-*…")
_BASE, _UNIT_BASE = np.uint64(BASE), np.uint64(UNIT_BASE)
_SPREAD = np.uint64(0xBF58476D1CE4E5B9)
_SLOTS = np.uint64(HASH_SLOTS - 1)
_NUM_COUNTS = len(Count)
_INT, _HASH = types.int64, types.uint64
_KINDS = types.Array(types.uint8, 1, "C")
_HASHES = types.Array(types.uint64, 1, "C")
_INTS = types.Array(types.int64, 1, "C")
_CODES = types.Array(types.uint32, 1, "C", readonly=True)


def measure(text: str, *, sentence_letters: int, stop: StopTable) -> list[int]:
    """See `measures.Measure`."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    counts = np.zeros(_NUM_COUNTS, dtype=np.int64)
    _measure(codes, chars.kinds(), chars.weights(), sentence_letters, stop.hashes, stop.numbers, counts)
    return counts.tolist()


@njit(types.UniTuple(types.int64, 2)(_HASHES, _INT, _INTS), cache=True, nogil=True)
def _repeated(hashes: np.ndarray, num_hashes: int, sizes: np.ndarray) -> tuple[int, int]:
    """How many of the first `num_hashes` were there before, and the sum of their sizes (0 if `sizes` is
    empty).
    """
    bits = 4
    while (1 << bits) < 2 * num_hashes:
        bits += 1
    table = np.zeros(1 << bits, dtype=np.uint64)
    last, shift = np.uint64((1 << bits) - 1), np.uint64(64 - bits)
    repeated, size = 0, 0
    for place in range(num_hashes):
        value = hashes[place]
        slot = (value * _SPREAD) >> shift
        while table[slot] != 0 and table[slot] != value:
            slot = (slot + np.uint64(1)) & last
        if table[slot] == value:
            repeated += 1
            if len(sizes):
                size += sizes[place]
        table[slot] = value
    return repeated, size


@njit(_INT(_HASHES, _INT, _INT, _HASHES), cache=True, nogil=True)
def _ngrams(prefixes: np.ndarray, num_units: int, length: int, out: np.ndarray) -> int:
    """Writes the hash of each run of `length` units to `out`; returns how many there are."""
    power = np.uint64(1)
    for _ in range(length):
        power *= _UNIT_BASE
    num_ngrams = max(num_units - length + 1, 0)
    for place in range(num_ngrams):
        out[place] = prefixes[place + length] - prefixes[place] * power
    return num_ngrams


@njit(_INT(_HASHES, _INT, _INT, _INTS), cache=True, nogil=True)
def _top(ngrams: np.ndarray, num_ngrams: int, length: int, ends: np.ndarray) -> int:
    """Most characters in one n-gram that is there `TOP_TIMES` times, all its places together."""
    bits = 4
    while (1 << bits) < 2 * num_ngrams:
        bits += 1
    table, times = np.zeros(1 << bits, dtype=np.uint64), np.zeros(1 << bits, dtype=np.int64)
    last, shift = np.uint64((1 << bits) - 1), np.uint64(64 - bits)
    top = 0
    for place in range(num_ngrams):
        value = ngrams[place]
        slot = (value * _SPREAD) >> shift
        while table[slot] != 0 and table[slot] != value:
            slot = (slot + np.uint64(1)) & last
        table[slot] = value
        times[slot] += 1
        if times[slot] >= TOP_TIMES:
            top = max(top, times[slot] * (ends[place + length] - ends[place]))
    return top


@njit(_HASH(_HASH, _HASHES, _KINDS), cache=True, nogil=True)
def _stop_word(value: np.uint64, stop_hashes: np.ndarray, stop_numbers: np.ndarray) -> np.uint64:
    """The bit of the stop word with this hash; 0 if there is none."""
    slot = value & _SLOTS
    while stop_hashes[slot] != 0:
        if stop_hashes[slot] == value:
            return np.uint64(1) << np.uint64(stop_numbers[slot])
        slot = (slot + np.uint64(1)) & _SLOTS
    return np.uint64(0)


@njit(types.void(_HASH, _INT, _INT, _HASHES, _INTS), cache=True, nogil=True)
def _push(value: np.uint64, length: int, num_units: int, prefixes: np.ndarray, ends: np.ndarray) -> None:
    prefixes[num_units + 1] = prefixes[num_units] * _UNIT_BASE + value
    ends[num_units + 1] = ends[num_units] + length


@njit(types.void(_INT, _INT, _INTS), cache=True, nogil=True)
def _end_passage(letters: int, sentence_letters: int, counts: np.ndarray) -> None:
    counts[Count.PASSAGE] += letters
    if letters >= sentence_letters:
        counts[Count.PROSE] += letters
        counts[Count.SENTENCES] += 1


@njit(_INT(_CODES, _KINDS, _KINDS, _INT, _HASHES, _INTS, _HASHES, _KINDS, _INTS), cache=True, nogil=True)
def _units(
    codes: np.ndarray,
    found: np.ndarray,
    weights: np.ndarray,
    sentence_letters: int,
    prefixes: np.ndarray,
    ends: np.ndarray,
    stop_hashes: np.ndarray,
    stop_numbers: np.ndarray,
    counts: np.ndarray,
) -> int:
    """Counts what words, signs and passages say, given the kinds of the characters (`found` [N + 1], closed by
    a line end); writes the prefix polynomials of the units and where they end, counted in characters of units
    (both [U + 1]), and returns U.

    Passages end at ends of sentences and lines, and at separators. A `STOP` ends one only before white space
    (closing signs aside), so the dot of `3.14` does not.
    """
    num_units, stop_words, passage, stopped = 0, np.uint64(0), 0, False
    unspaced, words, word_chars, letters, blanks, alphabetic = 0, 0, 0, 0, 0, 0
    prefixes[0], ends[0] = 0, 0
    place = 0
    while place < len(codes):
        kind = found[place]
        if kind in (LETTER, DIGIT):
            start, num_letters, switches, case, value = place, 0, 0, 0, np.uint64(0)
            while kind in (LETTER, DIGIT):
                code = codes[place]
                value = value * _BASE + np.uint64(code)
                num_letters += kind == LETTER
                passage += weights[code]
                if code < 128:
                    now = 1 + (code > 57) + (code > 90)
                    switches += case != 0 and now != case and not (case == 2 and now == 3)
                    case = now
                place += 1
                kind = found[place]
            length = place - start
            words += 1
            word_chars += length
            letters += num_letters
            alphabetic += num_letters > 0
            counts[Count.LONG_WORD_CHARS] += length if length > LONG_WORD else 0
            if switches >= MIXED_SWITCHES and switches * MIXED_LENGTH >= length:
                counts[Count.MIXED_WORD_CHARS] += length
            stop_words |= _stop_word(value, stop_hashes, stop_numbers)
            _push(value, length, num_units, prefixes, ends)
            num_units += 1
            stopped = False
            continue
        code = codes[place]
        if kind == UNSPACED:
            unspaced += 1
            passage += weights[code]
            stop_words |= _stop_word(np.uint64(code), stop_hashes, stop_numbers)
            _push(np.uint64(code), 1, num_units, prefixes, ends)
            num_units += 1
        elif kind in (SPACE, NEWLINE):
            blanks += 1
        else:
            counts[Count.HASHES] += code == HASH
            counts[Count.BRACES] += code in (OPEN_BRACE, CLOSE_BRACE)
        if kind >= SPACE and (kind != CLOSER and kind != STOP) and (kind != SPACE or stopped):
            _end_passage(passage, sentence_letters, counts)
            passage = 0
        stopped = kind == STOP or (stopped and kind == CLOSER)
        place += 1
    _end_passage(passage, sentence_letters, counts)
    counts[Count.UNITS], counts[Count.UNSPACED], counts[Count.VISIBLE] = num_units, unspaced, place - blanks
    counts[Count.LETTERS], counts[Count.ALPHABETIC] = letters + unspaced, alphabetic + unspaced
    counts[Count.WORDS], counts[Count.WORD_CHARS] = words, word_chars
    counts[Count.UNIT_CHARS] = word_chars + unspaced
    counts[Count.RUNNING_WORDS] = words + unspaced // LETTERS_A_WORD
    while stop_words:
        counts[Count.STOP_WORDS] += 1
        stop_words &= stop_words - np.uint64(1)
    return num_units


@njit(types.void(_CODES, _KINDS, _KINDS, _INT, _INTS), cache=True, nogil=True)
def _lines(
    codes: np.ndarray, found: np.ndarray, weights: np.ndarray, sentence_letters: int, counts: np.ndarray
) -> None:
    """Counts lines and paragraphs, which blank lines separate. A line ends like a sentence if its last
    character, white space and closing signs aside, ends one.
    """
    most = np.int64(0)
    for kind in found:
        most += kind == NEWLINE
    lines, line_chars = np.empty(most, dtype=np.uint64), np.empty(most, dtype=np.int64)
    paragraphs, paragraph_chars = np.empty(most, dtype=np.uint64), np.empty(most, dtype=np.int64)
    num_lines, num_paragraphs, ellipses = 0, 0, 0
    in_paragraph, start = False, 0
    for place in range(len(codes) + 1):
        if found[place] != NEWLINE:
            continue
        first, end = start, place
        start = place + 1
        while first < end and found[first] == SPACE:
            first += 1
        while first < end and found[end - 1] == SPACE:
            end -= 1
        if first == end:
            in_paragraph = False
            continue
        value, letters, dots = np.uint64(0), 0, 0
        for inside in range(first, end):
            code = codes[inside]
            value = value * _BASE + np.uint64(code + 1)
            letters += weights[code]
            dots = dots + 1 if code == DOT else 0
            ellipses += dots == 3 or code == ELLIPSIS
        lines[num_lines], line_chars[num_lines] = value, end - first
        num_lines += 1
        if not in_paragraph:
            paragraphs[num_paragraphs], paragraph_chars[num_paragraphs] = 0, 0
            num_paragraphs += 1
            in_paragraph = True
        paragraphs[num_paragraphs - 1] = paragraphs[num_paragraphs - 1] * _UNIT_BASE + value
        paragraph_chars[num_paragraphs - 1] += end - first
        last = end - 1
        counts[Count.CODE_LINES] += (
            codes[last] == SEMICOLON or codes[last] == OPEN_BRACE or codes[last] == CLOSE_BRACE
        )
        if letters == 0:
            continue
        while last > first and (found[last] == CLOSER or found[last] == SPACE):
            last -= 1
        ended = found[last] == STOP or found[last] == WIDE_STOP
        trails = codes[last] == ELLIPSIS or (
            last - first >= 2 and codes[last] == DOT and codes[last - 1] == DOT and codes[last - 2] == DOT
        )
        counts[Count.LINES] += 1
        counts[Count.ENDED_LINES] += ended
        counts[Count.SHORT_LINES] += letters < sentence_letters
        counts[Count.FRAGMENTS] += letters < sentence_letters and not ended
        counts[Count.BULLET_LINES] += (
            codes[first] == DASH or codes[first] == STAR or found[first] == SEPARATOR
        )
        counts[Count.ELLIPSIS_LINES] += trails
    counts[Count.ALL_LINES], counts[Count.PARAGRAPHS], counts[Count.ELLIPSES] = (
        num_lines,
        num_paragraphs,
        ellipses,
    )
    counts[Count.LINE_CHARS] = line_chars[:num_lines].sum()
    counts[Count.REPEATED_LINES], counts[Count.REPEATED_LINE_CHARS] = _repeated(lines, num_lines, line_chars)
    counts[Count.REPEATED_PARAGRAPHS], counts[Count.REPEATED_PARAGRAPH_CHARS] = _repeated(
        paragraphs, num_paragraphs, paragraph_chars
    )


@njit(types.void(_CODES, _KINDS, _KINDS, _INT, _HASHES, _KINDS, _INTS), cache=True, nogil=True)
def _measure(
    codes: np.ndarray,
    kinds: np.ndarray,
    weights: np.ndarray,
    sentence_letters: int,
    stop_hashes: np.ndarray,
    stop_numbers: np.ndarray,
    counts: np.ndarray,
) -> None:
    found = np.empty(len(codes) + 1, dtype=np.uint8)
    found[len(codes)] = NEWLINE
    for place in range(len(codes)):
        found[place] = kinds[codes[place]]
    prefixes, ends = np.empty(len(codes) + 2, dtype=np.uint64), np.empty(len(codes) + 2, dtype=np.int64)
    num_units = _units(
        codes, found, weights, sentence_letters, prefixes, ends, stop_hashes, stop_numbers, counts
    )
    _lines(codes, found, weights, sentence_letters, counts)
    script = 1 if 2 * counts[Count.UNSPACED] > num_units else 0
    ngrams, no_sizes = np.empty(num_units + 1, dtype=np.uint64), np.empty(0, dtype=np.int64)
    num_phrases = _ngrams(prefixes, num_units, PHRASE[script], ngrams)
    counts[Count.PHRASES] = num_phrases
    counts[Count.REPEATED_PHRASES] = _repeated(ngrams, num_phrases, no_sizes)[0]
    num_phrases = _ngrams(prefixes, num_units, LONG_PHRASE[script], ngrams)
    counts[Count.LONG_PHRASES] = num_phrases
    # What is in a phrase that comes again comes again, so most texts need not be asked for the longer ones.
    if counts[Count.REPEATED_PHRASES]:
        counts[Count.REPEATED_LONG_PHRASES] = _repeated(ngrams, num_phrases, no_sizes)[0]
    for number in range(len(TOP_PHRASES[0])):
        length = TOP_PHRASES[script][number]
        num_phrases = _ngrams(prefixes, num_units, length, ngrams)
        counts[Count.TOP_PHRASE + number] = _top(ngrams, num_phrases, length, ends)
        if counts[Count.TOP_PHRASE + number] == 0:
            break
