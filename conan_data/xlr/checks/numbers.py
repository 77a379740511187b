"""Numbers that a translation leaves out or invents.

Numbers are compared by their digits, in any order and once each: `1,000.5`, `1.000,5` and `١٬٠٠٠٫٥` are one. A number
may become a word and a word a number (`two files` and `2 Dateien`, `hexadecimal` and `16進`), so a number that the
other side lacks is forgiven where that side has a word for it.
"""

import re

import numpy as np
import polars as pl

from conan_data.language.labels import read_label
from conan_data.xlr.checks.check import Check, Found
from conan_data.xlr.checks.phrases import number_words

_NUMBER = re.compile(r"\d+(?:[.,٬٫'’ \u00a0\u202f]\d{3}(?!\d))*(?:[.,٫]\d+)*")
_NOT_DIGITS = re.compile(r"\D")


def numbers_of(text: str) -> frozenset[str]:
    """Return the digits of each number of a text, in ASCII, without separators or zeros before."""
    digits = (_NOT_DIGITS.sub("", number) for number in _NUMBER.findall(text))
    return frozenset(number.lstrip("0") or "0" for number in map(_in_ascii, digits))


def _in_ascii(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)


def _find(frame: pl.DataFrame) -> Found:
    changed = np.zeros(len(frame), bool)
    has_digits = frame.select(pl.any_horizontal(pl.col("text", "source").str.contains(r"\p{Nd}"))).to_series()
    rows = has_digits.arg_true()
    part = frame[rows]
    columns = ("text", "source", "language", "source_language", "max_changed_numbers")
    for row, text, source, language, origin, most in zip(
        rows, *(part[name] for name in columns), strict=True
    ):
        wanted, given = numbers_of(source), numbers_of(text)
        if wanted != given:
            missing, added = wanted - given, given - wanted
            num_changed = sum(not _is_said(number, text, language) for number in missing)
            num_changed += sum(not _is_said(number, source, origin) for number in added)
            changed[row] = num_changed > most
    return {"number-changed": pl.Series(changed)}


def _is_said(number: str, text: str, language: str) -> bool:
    """Whether a text has a word for a number."""
    pattern = number_words().get(read_label(language), {}).get(number)
    return pattern is not None and re.search(pattern, text, re.IGNORECASE) is not None


NUMBERS = Check("numbers", _find)
