"""Clean columns of texts as `text.normalisation.normalise` does, at the speed of Arrow where nothing is to do.

Most texts of most corpora are in their one form already, and a regular expression sees that; only the others are
handed to Python.
"""

from collections.abc import Callable

import polars as pl

from conan_data.text.normalisation import normalise

_UNCLEAN = r"[^\x20-\x7e\n]| \n|\n\n\n"
_UNCLEAN_LINE = r"[^\x20-\x7e]|  "


def clean_texts(texts: pl.Series) -> pl.Series:
    """Return the normalised texts; null stays null."""
    return _mapped(texts, _UNCLEAN, normalise)


def clean_lines(texts: pl.Series) -> pl.Series:
    """Return the normalised texts as one line each; null stays null."""
    return _mapped(texts, _UNCLEAN_LINE, _one_line)


def _one_line(text: str) -> str:
    return " ".join(normalise(text).split())


def _mapped(texts: pl.Series, pattern: str, clean: Callable[[str], str]) -> pl.Series:
    unclean = texts.str.contains(pattern)
    for edge in (" ", "\n"):
        unclean |= texts.str.starts_with(edge) | texts.str.ends_with(edge)
    unclean = unclean.fill_null(False)
    if not unclean.any():
        return texts
    cleaned = pl.Series(texts.name, map(clean, texts.filter(unclean).to_list()), pl.String)
    if unclean.all():
        return cleaned
    order = pl.concat([unclean.not_().arg_true(), unclean.arg_true()])
    return pl.concat([texts.filter(~unclean), cleaned]).gather(order.arg_sort())
