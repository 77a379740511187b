"""The pools in which an encoder's language bias is measured: the versions of the same queries, and the documents.

Where all documents are in one language nothing can be said about the language of what is found; the versions of the
queries are in several in any case. Large sets are sampled by hashes of ids, so the same set gives the same sample.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from conan_data.mining.arrays import document_texts
from conan_data.retrieval import RetrievalSplit
from conan_data.xlr.language_bias import Pool
from conan_data.xlr.mix import uniform


def version_pool(versions: pl.DataFrame, *, sample: int) -> Pool | None:
    """Return the versions (text, lang, source_id) of up to `sample` source queries, each asked of all others; relevant
    are the other versions of the same source. None where no source has two versions.
    """
    distinct = versions.unique(["source_id", "lang", "text"], keep="first", maintain_order=True)
    several = distinct.filter(pl.len().over("source_id") > 1)
    if several.is_empty():
        return None
    taken = sampled(several["source_id"].unique(maintain_order=True).to_list(), sample)
    texts = several.filter(pl.col("source_id").is_in(taken))
    languages = np.array(texts["lang"].to_list())
    rows: dict[str, list[int]] = {}
    for row, source in enumerate(texts["source_id"].to_list()):
        rows.setdefault(source, []).append(row)
    relevant = [
        np.array([other for other in rows[source] if other != row])
        for row, source in enumerate(texts["source_id"].to_list())
    ]
    own = np.arange(texts.height)
    return Pool(texts["text"].to_list(), languages, texts["text"].to_list(), languages, relevant, own)


def document_pool(split: RetrievalSplit, *, sample: int, documents: int) -> Pool:
    """Return the queries of up to `sample` sources, asked of the documents that are relevant to them and of others, up
    to `documents` in all where there are so many relevant ones.
    """
    queries = pl.DataFrame(pl.from_arrow(split.queries.select(["_id", "text", "lang", "source_id"])))
    taken = sampled(queries["source_id"].unique(maintain_order=True).to_list(), sample)
    queries = queries.filter(pl.col("source_id").is_in(taken))
    positives = (
        pl.DataFrame(pl.from_arrow(split.qrels))
        .filter(pl.col("score") > 0)
        .join(queries.select("_id"), left_on="query-id", right_on="_id", how="semi")
    )
    needed = set(positives["corpus-id"].unique())
    ids = split.corpus.column("_id").to_pylist()
    others = sampled([name for name in ids if name not in needed], max(0, documents - len(needed)))
    rows = [row for row, name in enumerate(ids) if name in needed or name in others]
    corpus = split.corpus.take(rows)
    place = {ids[row]: number for number, row in enumerate(rows)}
    relevant: dict[str, list[int]] = {name: [] for name in queries["_id"]}
    for query, document in positives.select("query-id", "corpus-id").iter_rows():
        relevant[query].append(place[document])
    return Pool(
        queries["text"].to_list(),
        np.array(queries["lang"].to_list()),
        list(document_texts(corpus)),
        np.array(corpus.column("lang").to_pylist()),
        [np.array(found, dtype=np.int64) for found in relevant.values()],
    )


def sampled(ids: Sequence[str], size: int) -> set[str]:
    """Return up to `size` of the ids: those with the smallest hashes, whatever stands beside them."""
    if len(ids) <= size:
        return set(ids)
    return set(sorted(ids, key=lambda name: (uniform(0, name, "sample"), name))[:size])
