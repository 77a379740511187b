"""The pattern of `markup` as one pass over UTF-8 bytes.

Every alternative of the pattern begins with a byte that tells which ones can match, and none begins with a
byte above 127, so most bytes are copied after one look into a table. Where the pattern would try the same word
again from each of its letters, the scanner remembers up to where the answer is no.

`text[i:end]` is what a construct covers; a function that finds none at `i` returns `i`.
"""

import numpy as np
from numba import types

from conan_data.compiling import njit

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
# One explicit signature a function: numba would compile one more for every constant that is passed.
_tests = njit(types.boolean(_BYTES, types.int64, types.int64), cache=True, nogil=True)
_searches = njit(types.int64(_BYTES, types.int64, types.int64), cache=True, nogil=True)
_covers = njit(types.int64(_BYTES, types.int64), cache=True, nogil=True)


def _flags(*members: str) -> np.ndarray:
    """uint16 [256]: bit b of an ASCII character is set where it is in `members[b]`."""
    table = np.zeros(256, dtype=np.uint16)
    for bit, characters in enumerate(members):
        for character in characters:
            table[ord(character)] |= 1 << bit
    return table


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
_WORD = _LETTERS + _DIGITS + "_"
_SIGNS = "_/\\$%=+~^#@"
LETTER, DIGIT, WORD, WORD_DASH, PLAIN, STEM, SIGN, PATH, MAIL, URL, SPACE, MARKUP, ROLE, QUIET = (
    1 << bit for bit in range(14)
)
"""Sets of characters: a path is a run of `STEM` up to a `SIGN`, and of `PATH` after it. `QUIET` ones begin nothing inside a
word.
"""
FLAGS = _flags(
    _LETTERS,
    _DIGITS,
    _WORD,
    _WORD + "-",
    _WORD + ".",
    _LETTERS + _DIGITS + ".",
    _SIGNS,
    _WORD + ".()-" + _SIGNS,
    _WORD + ".+-",
    "".join(map(chr, range(0x21, 0x7F))).replace("<", "").replace(">", ""),
    " \t\n\r\f\v",
    "`~<{&:",
    _LETTERS + ":+.-",
    _LETTERS.replace("h", "").replace("w", "") + "._",
)
BACKTICK, TILDE, LESS, GREATER, OPEN, CLOSE, AMPERSAND, COLON, HASH, SEMICOLON = b"`~<>{}&:#;"
PERCENT, SLASH, DASH, AT, DOT, BANG, UNDERSCORE, BRACKET, END_BRACKET, SMALL_S = b"%/-@.!_()s"


def strip_by_scanner(text: str, max_bytes: int) -> bytes:
    """The first `max_bytes` of what `markup.strip_by_pattern` leaves, white space at the end aside."""
    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    out = np.empty(min(len(data), max_bytes), dtype=np.uint8)
    return out[: scan(data, out)].tobytes()


@_tests
def _is(text: np.ndarray, i: int, members: int) -> bool:
    return i < len(text) and FLAGS[text[i]] & members != 0


@_tests
def _at(text: np.ndarray, i: int, byte: int) -> bool:
    return i < len(text) and text[i] == byte


@_searches
def _run(text: np.ndarray, i: int, members: int) -> int:
    """The end of the run of `members` from `i` on."""
    while i < len(text) and FLAGS[text[i]] & members != 0:
        i += 1
    return i


@_searches
def _find(text: np.ndarray, i: int, byte: int) -> int:
    """The next place of `byte` from `i` on; the end of the text where there is none."""
    while i < len(text) and text[i] != byte:
        i += 1
    return i


@njit(types.boolean(_BYTES, types.int64, types.int64, types.int64), cache=True, nogil=True)
def _repeats(text: np.ndarray, i: int, byte: int, times: int) -> bool:
    k = 0
    while k < times and _at(text, i + k, byte):
        k += 1
    return k == times


@njit(
    types.boolean(_BYTES, types.int64, types.Bytes(types.uint8, 1, "C", readonly=True)),
    cache=True,
    nogil=True,
)
def _starts(text: np.ndarray, i: int, prefix: bytes) -> bool:
    k = 0
    while k < len(prefix) and _at(text, i + k, prefix[k]):
        k += 1
    return k == len(prefix)


@_covers
def _fence(text: np.ndarray, i: int) -> int:
    mark = text[i]
    if _repeats(text, i, mark, 3):
        end = _find(text, i + 3, mark)
        while end < len(text):
            if _repeats(text, end, mark, 3):
                return end + 3
            end = _find(text, end + 1, mark)
    return i


@_covers
def _inline_code(text: np.ndarray, i: int) -> int:
    if _at(text, i + 1, BACKTICK):
        end = _find(text, i + 2, BACKTICK)
        if _repeats(text, end, BACKTICK, 2):
            return end + 2
    end = _find(text, i + 1, BACKTICK) + 1
    if end > len(text):
        return i
    for _ in range(2):
        if _at(text, end, UNDERSCORE):
            end += 1
    return end


@_covers
def _role(text: np.ndarray, i: int) -> int:
    end = _run(text, i + 1, ROLE)
    if end > i + 2 and _at(text, end, BACKTICK) and text[end - 1] == COLON:
        end = _find(text, end + 1, BACKTICK) + 1
        if end <= len(text):
            return end
    return i


@_covers
def _template(text: np.ndarray, i: int) -> int:
    if _at(text, i + 1, OPEN):
        end = i + 2
        while end < len(text) and text[end] != OPEN and text[end] != CLOSE:
            end += 1
        if _repeats(text, end, CLOSE, 2):
            return end + 2
    if _at(text, i + 1, PERCENT):
        end = _find(text, i + 2, PERCENT)
        if _at(text, end + 1, CLOSE):
            return end + 2
    return i


@_covers
def _element_name(text: np.ndarray, i: int) -> int:
    """The end of the name of an element whose content is code."""
    if _starts(text, i, b"script"):
        return i + 6
    if _starts(text, i, b"style"):
        return i + 5
    if _starts(text, i, b"code"):
        return i + 4
    return i + 3 if _starts(text, i, b"pre") else i


@_covers
def _element(text: np.ndarray, i: int) -> int:
    name_end = _element_name(text, i + 1)
    if name_end == i + 1 or _is(text, name_end, WORD):
        return i
    end = _find(text, name_end, LESS)
    while end < len(text):
        if _at(text, end + 1, SLASH):
            name_end = _element_name(text, end + 2)
            if name_end > end + 2 and _at(text, name_end, GREATER):
                return name_end + 1
        end = _find(text, end + 1, LESS)
    return i


@_covers
def _tag(text: np.ndarray, i: int) -> int:
    if _at(text, i + 1, BANG) and _repeats(text, i + 2, DASH, 2):
        end = _find(text, i + 4, GREATER)
        while end < len(text):
            if end >= i + 6 and text[end - 1] == DASH and text[end - 2] == DASH:
                return end + 1
            end = _find(text, end + 1, GREATER)
    if not _is(text, i + 2 if _at(text, i + 1, SLASH) else i + 1, LETTER):
        return i
    end = i + 2
    while end < len(text) and text[end] != LESS and text[end] != GREATER:
        end += 1
    return end + 1 if _at(text, end, GREATER) else i


@_covers
def _entity(text: np.ndarray, i: int) -> int:
    start = i + 2 if _at(text, i + 1, HASH) else i + 1
    end = _run(text, start, WORD if start == i + 2 else LETTER)
    return end + 1 if end > start and _at(text, end, SEMICOLON) else i


@_covers
def _address(text: np.ndarray, i: int) -> int:
    start = i
    if _starts(text, i, b"http"):
        start = i + 5 if _at(text, i + 4, SMALL_S) else i + 4
        start = start + 3 if _starts(text, start, b"://") else i
    elif _starts(text, i, b"www."):
        start = i + 4
    end = _run(text, start, URL)
    return end if end > start > i else i


@_covers
def _mail_end(text: np.ndarray, at: int) -> int:
    """The end of the address whose `@` is at `at`; `at` where it is none."""
    dot = _run(text, at + 1, WORD_DASH)
    if dot > at + 1 and _at(text, dot, DOT):
        end = _run(text, dot + 1, PLAIN)
        if end > dot + 1:
            return end
    return at


@_covers
def _option(text: np.ndarray, i: int) -> int:
    if i > 0 and not _is(text, i - 1, SPACE):
        return i
    start = i + 2 if _at(text, i + 1, DASH) else i + 1
    return _run(text, start, WORD_DASH) if _is(text, start, LETTER) else i


@_covers
def _markup(text: np.ndarray, i: int) -> int:
    """Code whose first sign belongs to no word."""
    byte = text[i]
    end = i
    if byte in (BACKTICK, TILDE):
        end = _fence(text, i)
        if end == i and byte == BACKTICK:
            end = _inline_code(text, i)
    elif byte == LESS:
        end = _element(text, i)
        if end == i:
            end = _tag(text, i)
    elif byte == OPEN:
        end = _template(text, i)
    elif byte == AMPERSAND:
        end = _entity(text, i)
    elif byte == COLON:
        end = _role(text, i)
    return end


@njit(types.int64(_BYTES, types.Array(types.uint8, 1, "C")), cache=True, nogil=True)
def scan(text: np.ndarray, out: np.ndarray) -> int:
    """Writes what is left to `out` until it is full, and returns the length of it."""
    i = size = no_mail = no_path = call = 0
    gap = False
    while i < len(text) and size < len(out):
        flags = FLAGS[text[i]]
        end = i
        if flags & MARKUP:
            end = _markup(text, i)
        if end == i and flags & WORD:
            end = _address(text, i)
        if end == i and flags & MAIL and i >= no_mail:
            no_mail = _run(text, i, MAIL)
            if _at(text, no_mail, AT):
                mail = _mail_end(text, no_mail)
                end = mail if mail > no_mail else i
        if end == i and text[i] == DASH:
            end = _option(text, i)
        if end == i and flags & (STEM | SIGN) and i >= no_path:
            no_path = _run(text, i, STEM)
            call = 0
            if _is(text, no_path, SIGN):
                no_path += 1
                if _is(text, no_path, PATH):
                    end = _run(text, no_path, PATH)
            elif _at(text, no_path, BRACKET) and _at(text, no_path + 1, END_BRACKET):
                call = no_path + 2
        if end == i and i < call and flags & LETTER:
            end = call
        if end == i and flags & DIGIT:
            end = _run(text, i, DIGIT)
        if end == i and flags & SPACE:
            end = i + 1
        if end > i:
            gap = True
            i = end
            continue
        if gap and size:
            out[size] = 32
            size += 1
        gap = False
        # A space may have been the last byte that there is room for.
        if size == len(out):
            return size
        settled = max(i + 1, min(no_mail, no_path))
        while True:
            out[size] = text[i]
            size += 1
            i += 1
            if i >= settled or i < call or size == len(out) or FLAGS[text[i]] & QUIET == 0:
                break
    return size
