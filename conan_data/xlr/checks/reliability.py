"""Translators that are not to be trusted with a language: most of what they wrote is refused.

Checks of single translations find no fault in every bad one, and what a hopeless translator got past them is as bad as
the rest: of 320 answers of a small chat model 57 passed all checks of their text, and one of these was a translation.
So where less than a share of a translator's answers into a language pass, none of them is kept.
"""

import polars as pl

NAME = "translator"
REASON = "unreliable-translator"
ENOUGH = 20
"""Answers into a language from which on a translator is judged by them."""


def find_unreliable(answers: pl.DataFrame, least: pl.Series) -> pl.Series:
    """Return which answers are of a translator of whose answers into their language a share under `least` passes (bool).

    `answers` are all that have a text, with `language`, `translator` and the `reason` why each is refused ("" where it
    is not).
    """
    group = ("language", "translator")
    share = (pl.col("reason") == "").mean().over(group)
    return answers.select((pl.len().over(group) >= ENOUGH) & (share < least)).to_series()
