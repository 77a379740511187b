"""Translations whose form alone shows that they are none: empty, the source again, of an unlikely length, with
lines that the source does not have, or with characters that could not be decoded.

Lengths are compared in columns on a terminal (East Asian characters count two) with 3 added to both sides, so
that one bound serves all scripts and short texts: 14 of 13,415 human translations of one-line command descriptions
are outside 0.2 to 4, and say less or more than their source.
"""

import polars as pl

from conan_data.xlr.checks.check import Check, Found

SLACK = 3
"""Columns added to both lengths before they are compared."""
_WIDE = r"[\p{Han}\p{Hangul}\p{Hiragana}\p{Katakana}\u3000-\u303f\uff01-\uff60]"
_NEW_LINE = r"[\n\r\u2028\u2029]\s*"
UNDECODED = "\ufffd"


def _find_empty(frame: pl.DataFrame) -> Found:
    return {"empty": ~frame["text"].str.contains(r"\S")}


def _find_same(frame: pl.DataFrame) -> Found:
    same = frame["lowered"] == frame["source_lowered"]
    return {"same-as-source": same}


def _find_length(frame: pl.DataFrame) -> Found:
    ratio = _columns("text") / _columns("source")
    return dict(
        frame.select(
            (ratio < pl.col("min_length_ratio")).alias("too-short"),
            (ratio > pl.col("max_length_ratio")).alias("too-long"),
        ).to_dict()
    )


def _find_lines(frame: pl.DataFrame) -> Found:
    extra = _lines("text") - _lines("source")
    return {"extra-lines": frame.select(extra > pl.col("max_extra_lines")).to_series()}


def _find_undecoded(frame: pl.DataFrame) -> Found:
    more = _undecoded("text") - _undecoded("source")
    return {"undecoded": frame.select(more > pl.col("max_undecoded")).to_series()}


def _columns(name: str) -> pl.Expr:
    return (pl.col(name).str.len_chars() + pl.col(name).str.count_matches(_WIDE)).cast(pl.Float64) + SLACK


def _lines(name: str) -> pl.Expr:
    return pl.col(name).str.strip_chars().str.count_matches(_NEW_LINE).cast(pl.Int64)


def _undecoded(name: str) -> pl.Expr:
    return pl.col(name).str.count_matches(UNDECODED, literal=True).cast(pl.Int64)


EMPTY = Check("empty", _find_empty)
SAME = Check("same", _find_same)
LENGTH = Check("length", _find_length)
LINES = Check("lines", _find_lines)
UNDECODED_CHARACTERS = Check("undecoded", _find_undecoded)
