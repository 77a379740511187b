"""One translation for several queries, as a model gives that has an answer for everything it does not understand.

Queries that share half of their words or more may well be one in another language (`Display the date.` and `Show the
date.`), so they count as one.
"""

from collections.abc import Iterable

import numpy as np
import polars as pl

NAME = "duplicates"
REASON = "same-translation"
ALIKE = 0.5
"""Share of the words of two sources, counted once each, that both have where they count as one."""


def find_duplicates(frame: pl.DataFrame, most: pl.Series) -> np.ndarray:
    """Return which translations stand for more different sources than `most` says (bool [N])."""
    folded = frame.select("language", most.alias("most"), text=_folded("text"), source=_folded("source"))
    groups = (
        folded.group_by("language", "text")
        .agg(pl.col("source").unique(), pl.col("most").first())
        .filter(pl.col("source").list.len() > pl.col("most"))
    )
    num_different = groups["source"].map_elements(_num_different, return_dtype=pl.Int64)
    refused = groups.filter(num_different > groups["most"]).select("language", "text", refused=True)
    found = folded.join(refused, on=["language", "text"], how="left", maintain_order="left")
    return found["refused"].fill_null(False).to_numpy()


def _num_different(texts: Iterable[str]) -> int:
    seen: list[set[str]] = []
    for text in sorted(texts):
        words = set(text.split())
        if not any(len(words & other) >= ALIKE * len(words | other) for other in seen):
            seen.append(words)
    return len(seen)


def _folded(name: str) -> pl.Expr:
    return pl.col(name).str.strip_chars().str.to_lowercase().str.replace_all(r"\s+", " ")
