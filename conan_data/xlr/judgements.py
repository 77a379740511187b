"""Judgements of the translated queries: a query in any language is answered by a passage in any language.

A set that judges only one language version of a passage would teach, and measure, that the others are wrong
answers. So every document of a positive's group is a positive of every version of the query, with the best
score that the group was given. Judgements of 0 (seen, and not relevant) are kept for documents that did not
become positive this way.
"""

import polars as pl
import pyarrow as pa

from conan_data import tables


def expand(qrels: pa.Table, corpus: pa.Table, versions: pa.Table) -> pa.Table:
    """The judgements (`tables.QRELS`) of `versions`, a table with `_id` and `origin`, the id of the query in
    `qrels` that each comes from.

    Ordered by version, then by document, as they stand in `versions` and `corpus`.
    """
    judged = pl.DataFrame(pl.from_arrow(qrels))
    documents = (
        pl.DataFrame(pl.from_arrow(corpus.select(["_id", "group"])))
        .rename({"_id": "corpus-id"})
        .with_row_index("document_place")
    )
    queries = pl.DataFrame(pl.from_arrow(versions.select(["_id", "origin"]))).with_row_index("version_place")
    judged = judged.join(documents, on="corpus-id").filter(
        pl.col("query-id").is_in(queries["origin"].implode())
    )
    positive = (
        judged.filter(pl.col("score") > 0)
        .group_by("query-id", "group")
        .agg(pl.col("score").max())
        .join(documents, on="group")
    ).select("query-id", "corpus-id", "document_place", "score")
    other = (
        judged.filter(pl.col("score") <= 0)
        .join(positive, on=["query-id", "corpus-id"], how="anti")
        .select(positive.columns)
        .unique()
    )
    expanded = (
        pl.concat([positive, other])
        .join(queries, left_on="query-id", right_on="origin")
        .sort("version_place", "document_place")
    )
    return tables.check(
        expanded.select(pl.col("_id").alias("query-id"), "corpus-id", "score").to_arrow(),
        tables.QRELS,
        "qrels",
    )
