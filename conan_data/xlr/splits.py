"""Which split a query falls into, so that nothing of a test query is in train.

All versions of a query are in its split, which is drawn by a hash of its text (letter case, punctuation and white
space aside): queries of equal text fall together, and a set that is added moves none. A query that is itself a version
of another one (`source_id`) goes where that one goes.

Two queries that differ may still have the same translation, or one the other's text. Such a text stays in the smallest
of the splits that have it (of equal ones in the last by name), and is dropped from the others.
"""

from collections.abc import Mapping
from itertools import accumulate

import polars as pl

from conan_data.xlr.mix import normalise, uniform
from conan_data.xlr.outcome import Outcome

IN_OTHER_SPLIT = "text-in-other-split"


def divide(outcome: Outcome, shares: Mapping[str, float], *, seed: int) -> Outcome:
    """Return the outcome with the split of each version, after the texts that two splits would share are dropped."""
    versions = outcome.versions
    queries = versions.select("query", _id="query_id", text="source", source_id="source_id").unique("query")
    drawn = queries.select("query", draw_splits(queries, shares, seed=seed))
    versions = versions.join(drawn, on="query", how="left", maintain_order="left")
    kept = versions.filter(pl.col("reason") == "").select("version", "text", "split")
    lost = kept.filter(in_other_split(kept, shares))["version"]
    return Outcome(
        versions.with_columns(
            reason=pl.when(pl.col("version").is_in(lost.implode()))
            .then(pl.lit(IN_OTHER_SPLIT))
            .otherwise("reason")
        )
    )


def draw_splits(queries: pl.DataFrame, shares: Mapping[str, float], *, seed: int) -> pl.Series:
    """Return the split of each of `queries` (_id, text, source_id); `shares` are divided by their sum."""
    shares = normalise(shares)
    limits = list(zip(shares, accumulate(shares.values()), strict=True))
    last = limits[-1][0]

    def draw(key: str) -> str:
        value = uniform(seed, key, "split")
        return next((name for name, limit in limits if value <= limit), last)

    texts = queries.select(source_id="_id", source_text=_plain("text")).unique("source_id", keep="first")
    keys = queries.select("source_id", own=_plain("text")).join(
        texts, on="source_id", how="left", maintain_order="left"
    )
    # A source that is not in the set is known by its id alone.
    is_version = queries["source_id"] != queries["_id"]
    key = pl.select(
        pl.when(is_version)
        .then(pl.coalesce(keys["source_text"], "id " + keys["source_id"]))
        .otherwise(keys["own"])
    ).to_series()
    distinct = key.unique()
    drawn = pl.Series([draw(each) for each in distinct.to_list()], dtype=pl.String)
    return key.replace_strict(distinct, drawn, return_dtype=pl.String).alias("split")


def in_other_split(versions: pl.DataFrame, shares: Mapping[str, float]) -> pl.Series:
    """Return whether each of `versions` (text, split) has a text that a smaller split has too."""
    shares = normalise(shares)
    order = sorted(shares, key=lambda name: (-shares[name], name))
    ranks = versions.select(
        key=_plain("text"),
        rank=pl.col("split").replace_strict(order, list(range(len(order))), return_dtype=pl.Int8),
    )
    return ranks.select(is_lost=pl.col("rank") < pl.col("rank").max().over("key")).to_series()


def _plain(column: str) -> pl.Expr:
    """A text without what does not tell two texts apart: letter case, punctuation, white space; a text of punctuation
    alone as it is.
    """
    text = pl.col(column).str.normalize("NFKC").str.to_lowercase()
    words = text.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars()
    return pl.when(words == "").then(text).otherwise(words)
