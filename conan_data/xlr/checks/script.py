"""Translations in letters that the language is not written in, and Chinese in the characters of the other script.

Names stay in Latin letters in every language, so what is asked is that a part of the letters outside of inline code be of
a script that the language is written in, and that nearly none be of one that neither the language nor the source
uses. Which scripts a language is written in is CLDR's answer, and for some languages there are two.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
import polars as pl
import regex
from numba import types

from conan_data.compiling import njit
from conan_data.language.chinese import count_by_script
from conan_data.language.labels import CHINESE_SCRIPTS, read_scripted_label
from conan_data.xlr.checks.check import Check, Found
from conan_data.xlr.checks.codepoints import BYTES, OFFSETS, buffers, decode

_UNICODE = {
    **{code: (name,) for code, name in (
        ("Latn", "Latin"), ("Cyrl", "Cyrillic"), ("Grek", "Greek"), ("Arab", "Arabic"), ("Hebr", "Hebrew"),
        ("Armn", "Armenian"), ("Geor", "Georgian"), ("Deva", "Devanagari"), ("Beng", "Bengali"), ("Guru", "Gurmukhi"),
        ("Gujr", "Gujarati"), ("Orya", "Oriya"), ("Taml", "Tamil"), ("Telu", "Telugu"), ("Knda", "Kannada"),
        ("Mlym", "Malayalam"), ("Sinh", "Sinhala"), ("Thai", "Thai"), ("Laoo", "Lao"), ("Tibt", "Tibetan"),
        ("Mymr", "Myanmar"), ("Khmr", "Khmer"), ("Ethi", "Ethiopic"), ("Mong", "Mongolian"), ("Hang", "Hangul"),
    )},
    "Hans": ("Han",),
    "Hant": ("Han",),
    "Kore": ("Hangul", "Han"),
    "Jpan": ("Hiragana", "Katakana", "Han"),
}  # fmt: skip
"""Unicode's names of the scripts that CLDR's codes stand for."""
_SCRIPTS = tuple(sorted({name for names in _UNICODE.values() for name in names}))
_LATIN = 1 << _SCRIPTS.index("Latin")
_SECOND = {"sr": "Latn", "bs": "Cyrl", "uz": "Cyrl", "az": "Cyrl", "kk": "Latn", "mn": "Mong", "ms": "Arab"}
"""Scripts that a language is written in beside CLDR's first."""
_OTHER = 1 << len(_SCRIPTS)
"""Letters of any script that is not named here."""


@cache
def scripts_of(language: str) -> int:
    """Return the scripts that a language is written in, a bit each; 0 where CLDR does not know it."""
    from babel.core import get_global

    primary, *rest = language.replace("-", "_").split("_")
    likely = get_global("likely_subtags").get(primary.lower(), "").split("_")
    named = [part.title() for part in rest if len(part) == 4]
    codes = named or [*likely[1:2], *filter(None, [_SECOND.get(primary.lower())])]
    names = [name for code in codes for name in _UNICODE.get(code, ())]
    return sum(1 << _SCRIPTS.index(name) for name in names)


@cache
def _table() -> np.ndarray:
    """int32 [0x10000]: the bit of the script that a letter belongs to; 0 for what is no letter of one script."""
    table = np.zeros(0x10000, dtype=np.int32)
    characters = "".join(chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000)
    table[[ord(letter) for letter in regex.findall(r"\p{L}", characters)]] = _OTHER
    shared = regex.findall(r"[\p{L}&&[\p{Common}\p{Inherited}]]", characters, regex.V1)
    table[[ord(letter) for letter in shared]] = 0
    for bit, name in enumerate(_SCRIPTS):
        letters = regex.findall(rf"[\p{{{name}}}&&\p{{L}}]", characters, regex.V1)
        table[[ord(letter) for letter in letters]] = 1 << bit
    return table


_TABLE = types.Array(types.int32, 1, "C", readonly=True)


_BITS = types.Array(types.int64, 1, "C", readonly=True)


@njit(types.int32[:, :](BYTES, OFFSETS, _TABLE, _BITS, _BITS), cache=True, nogil=True)
def _count(
    data: np.ndarray, starts: np.ndarray, table: np.ndarray, own_N: np.ndarray, allowed_N: np.ndarray
) -> np.ndarray:
    """int32 [N, 4]: letters, letters of the own scripts, letters of no allowed script, and the scripts met."""
    num_texts = len(starts) - 1
    longest = 0
    for row in range(num_texts):
        longest = max(longest, starts[row + 1] - starts[row])
    codes = np.empty(longest, np.int32)
    counts = np.zeros((num_texts, 4), np.int32)
    for row in range(num_texts):
        length = decode(data, starts[row], starts[row + 1], codes)
        own, allowed = own_N[row], own_N[row] | allowed_N[row]
        for i in range(length):
            bit = table[codes[i]] if codes[i] < 0x10000 else np.int32(0)
            if bit == 0:
                continue
            counts[row, 0] += 1
            counts[row, 3] |= bit
            if bit & own:
                counts[row, 1] += 1
            if not bit & allowed:
                counts[row, 2] += 1
    return counts


def _bits(languages: Iterable[str]) -> np.ndarray:
    return np.array([scripts_of(language) for language in languages], dtype=np.int64)


def _find_script(frame: pl.DataFrame) -> Found:
    names = frame["language"].unique()
    own = dict(zip(names, _bits(names), strict=True))
    own_N = frame["language"].replace_strict(own, return_dtype=pl.Int64).to_numpy()
    table = _table()
    none_N = np.zeros(len(frame), np.int64)
    sources = _count(*buffers(frame["source_prose"]), table, none_N, none_N)
    counts = _count(*buffers(frame["prose"]), table, own_N, sources[:, 3].astype(np.int64) | _LATIN)
    letters = np.maximum(counts[:, 0], 1)
    known = (own_N != 0) & (counts[:, 0] > 0)
    too_few = known & (counts[:, 1] < frame["min_script_share"].to_numpy() * letters)
    foreign = known & (counts[:, 2] > frame["max_foreign_share"].to_numpy() * letters)
    return {"wrong-script": pl.Series(too_few), "foreign-letters": pl.Series(foreign)}


def _find_chinese(frame: pl.DataFrame) -> Found:
    wrong = np.zeros(len(frame), dtype=bool)
    scripts = {name: read_scripted_label(name) for name in frame["language"].unique()}
    chinese = {name: script for name, script in scripts.items() if script in CHINESE_SCRIPTS}
    rows = frame["language"].is_in(list(chinese)).arg_true()
    part = frame[rows]
    for row, text, language, allowed in zip(
        rows, part["text"], part["language"], part["max_other_chinese"], strict=True
    ):
        simplified, traditional = count_by_script(text)
        other = traditional if chinese[language] == "zh-Hans" else simplified
        wrong[row] = other > allowed * (simplified + traditional)
    return {"other-chinese-script": pl.Series(wrong)}


SCRIPT = Check("script", _find_script)
CHINESE = Check("chinese-script", _find_chinese)
