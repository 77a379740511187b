"""Translations that stop in the middle: the source ends with a mark that ends a sentence and the translation does not,
or a bracket, quotation mark or code span is opened and never closed.

14,088 of 14,088 human translations of command descriptions keep the final mark; Thai and Lao have none.
"""

import polars as pl

from conan_data.xlr.checks.check import Check, Found

_CLOSING = r"""[\s)\]"'”’»›」』）】`*_]*$"""
_FINAL = r"[.!?:;…‥。！？：；｡।॥۔؟؛։፧።៕။༎]" + _CLOSING
_SENTENCE = r"[.!?…。！？｡।॥۔؟։።៕။]" + _CLOSING
_WITHOUT_MARKS = ("th", "lo")
"""Languages whose sentences end without a mark."""
_PAIRS = (("[(（]", "[)）]"), (r"\[", r"\]"), (r"\{", r"\}"), ("「", "」"), ("“", "”"), ("«", "»"))
_DANGLING = r"[,，、،(（\[{«“「/&+–—-]\s*$"


def _find(frame: pl.DataFrame) -> Found:
    has_marks = ~pl.col("language").str.slice(0, 2).str.to_lowercase().is_in(_WITHOUT_MARKS)
    unfinished = pl.col("source").str.contains(_SENTENCE) & ~pl.col("text").str.contains(_FINAL) & has_marks
    dangling = pl.col("text").str.contains(_DANGLING) & ~pl.col("source").str.contains(_DANGLING)
    lost = (unfinished | dangling).cast(pl.Int64) + _unclosed("text") - _unclosed("source")
    return {"cut-off": frame.select(lost > pl.col("max_lost_ends")).to_series()}


def _unclosed(name: str) -> pl.Expr:
    """The number of pairs of marks of which more are opened than closed."""
    column = pl.col(name)
    odd = (column.str.count_matches("`", literal=True) % 2).cast(pl.Int64)
    opened = [
        (column.str.count_matches(start) > column.str.count_matches(end)).cast(pl.Int64)
        for start, end in _PAIRS
    ]
    return odd + pl.sum_horizontal(opened)


ENDING = Check("ending", _find)
