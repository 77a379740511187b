"""What a check is, what it looks at, and what it answers.

A check looks at a frame of translations beside their sources, a row each, with the columns of `COLUMNS` and

- `prose`, `source_prose`: translation and query without inline code;
- `lowered`, `source_lowered`: both in small letters, white space as single spaces, apostrophes as `'`;
- a column for each threshold of `ChecksConfig`, with the value for the row's language.

It answers with a boolean series for each of its reasons. What a row is refused for depends on nothing but the row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

COLUMNS = ("text", "language", "source", "source_language")
"""What callers hand in (strings, without nulls): the translation, the language asked for, the query and its language."""
OUTCOME = {"reason": pl.String, "lid": pl.String, "lid_score": pl.Float64, "checks": pl.String}
"""Columns of what `Checker.check_each` returns."""
Found: TypeAlias = Mapping[str, pl.Series]
"""For each reason, in the order in which they are believed, which rows are refused for it (boolean)."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check of single translations; `name` is the one in `checks.skip` and among the checks that a row passed."""

    name: str
    find: Callable[[pl.DataFrame], Found]
