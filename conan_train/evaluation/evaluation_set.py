"""A retrieval split as rows and numbers, and the pools of candidates it is scored in.

A score in a pool of all languages mixes two abilities: finding the right text and preferring the right
language. So each pair of languages is a pool of its own: the queries of one language, and as candidates *all*
documents of the other, not only the judged ones. Of a query's judgements only those in the pool count. A
query without a positive there has no score in that pool; it is left out of it and counted.

A positive that the corpus lacks is missed by every ranking, as trec_eval has it: it stays among the judgements, under
a row number that no document has, and counts in the pool of all documents, and in a pair of languages where all
documents are in one.

Documents are in the order of their ids, so that a row number breaks ties as the id would.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from conan_data.mining.arrays import document_texts
from conan_data.retrieval import RetrievalSplit
from conan_data.xlr.judgements import expand

ANY = "*"
"""Language of the pool that holds all languages."""


@dataclass(frozen=True)
class Queries:
    """The rows of all queries, translations included, in the order of their ids; `sources` is the query that
    each was translated from.
    """

    ids: list[str]
    texts: list[str]
    languages: np.ndarray
    sources: list[str]


@dataclass(frozen=True)
class Documents:
    """The rows of all documents, in the order of their ids."""

    ids: list[str]
    texts: list[str]
    languages: np.ndarray


@dataclass(frozen=True)
class EvaluationSet:
    """`judged[q]` holds the positives of query row q: document row to score (above 0); rows from the number of
    documents on stand for documents that the corpus lacks.
    """

    queries: Queries
    documents: Documents
    judged: list[dict[int, int]]
    own: list[list[int]]
    """For each query row the documents that have its id, or that of the query it is a translation of, and are not
    judged relevant: they are left out of its rankings.
    """
    num_absent: int
    """Judgements above 0 of documents that the corpus lacks."""
    num_read: int
    dropped: Mapping[str, int]
    """Query rows that could not be used, by reason; `num_read` = these + the queries."""
    account: Mapping[str, Any]
    """What became of all rows and columns of the set (see `RetrievalSplit.account`)."""

    def absent_counts_in(self, document_language: str) -> bool:
        """Return whether documents that the corpus lacks count in a pool of this language."""
        return document_language == ANY or set(self.documents.languages.tolist()) == {document_language}


@dataclass(frozen=True)
class Pool:
    """One pair of languages (or `ANY`, `ANY`): the rows of its queries and documents, and how many queries
    have no positive there.
    """

    query_language: str
    document_language: str
    queries: np.ndarray
    documents: np.ndarray
    num_without_positive: int

    @property
    def is_pair(self) -> bool:
        return self.document_language != ANY


def evaluation_set(split: RetrievalSplit, *, translations: bool) -> EvaluationSet:
    """The rows of `split`; with `translations`, the queries in other languages that it holds too are asked as
    queries of their own.
    """
    own = [
        {**row, "origin": row["_id"], "own": {row["_id"], row["source_id"]}}
        for row in split.queries.to_pylist()
    ]
    rows = sorted(own + (_translated(split) if translations else []), key=lambda row: row["_id"])
    queries = Queries(
        ids=[row["_id"] for row in rows],
        texts=[row["text"] for row in rows],
        languages=np.array([row["lang"] for row in rows]),
        sources=[row["source_id"] for row in rows],
    )
    corpus = split.corpus.sort_by("_id")
    documents = Documents(
        ids=corpus.column("_id").to_pylist(),
        texts=list(document_texts(corpus)),
        languages=np.array(corpus.column("lang").to_pylist()),
    )
    row_of = {identifier: row for row, identifier in enumerate(documents.ids)}
    judged: dict[str, dict[int, int]] = {}
    versions = pa.table({name: [row[name] for row in rows] for name in ("_id", "origin")})
    for row in expand(split.qrels, split.corpus, versions).to_pylist():
        if row["score"] > 0:
            judged.setdefault(row["query-id"], {})[row_of[row["corpus-id"]]] = row["score"]
    num_absent = _add_absent(split, rows, row_of, judged)
    refused: Counter[str] = Counter()
    for part in ("queries", "translations") if translations else ("queries",):
        if part in split.parts:
            refused.update(split.parts[part].dropped)
    own_rows = [
        sorted({row_of[name] for name in row["own"] if name in row_of} - judged[row["_id"]].keys())
        for row in rows
    ]
    return EvaluationSet(
        queries=queries,
        documents=documents,
        judged=[judged[row["_id"]] for row in rows],
        own=own_rows,
        num_absent=num_absent,
        num_read=len(rows) + refused.total(),
        dropped=dict(refused),
        account=split.account(),
    )


def language_pools(data: EvaluationSet, *, min_queries: int) -> tuple[list[Pool], list[Pool]]:
    """The pools of all pairs of languages with at least `min_queries` queries that have a positive there, and
    those with fewer (but any).

    Both in the order of (document language, query language).
    """
    languages = data.documents.languages
    num_documents = len(data.documents.ids)
    large: list[Pool] = []
    small: list[Pool] = []
    for document_language in sorted(set(languages.tolist())):
        with_absent = data.absent_counts_in(document_language)
        found = np.array(
            [
                any(
                    languages[row] == document_language if row < num_documents else with_absent
                    for row in positives
                )
                for positives in data.judged
            ]
        )
        documents = np.flatnonzero(languages == document_language)
        for query_language in sorted(set(data.queries.languages.tolist())):
            asked = data.queries.languages == query_language
            queries = np.flatnonzero(asked & found)
            pool = Pool(
                query_language, document_language, queries, documents, int(asked.sum()) - len(queries)
            )
            if len(queries):
                (large if len(queries) >= min_queries else small).append(pool)
    return large, small


def mixed_pool(data: EvaluationSet) -> Pool:
    """All queries against all documents."""
    return Pool(ANY, ANY, np.arange(len(data.queries.ids)), np.arange(len(data.documents.ids)), 0)


def judged_in(pool: Pool, data: EvaluationSet) -> list[dict[int, int]]:
    """The judgements of the pool's queries, restricted to its documents and those that the corpus lacks."""
    inside = set(pool.documents.tolist())
    first_absent = len(data.documents.ids) if data.absent_counts_in(pool.document_language) else None
    return [
        {
            row: score
            for row, score in data.judged[query].items()
            if row in inside or (first_absent is not None and row >= first_absent)
        }
        for query in pool.queries.tolist()
    ]


def _add_absent(
    split: RetrievalSplit,
    rows: Sequence[Mapping[str, Any]],
    row_of: Mapping[str, int],
    judged: dict[str, dict[int, int]],
) -> int:
    """Adds the positives that the corpus lacks to `judged`; returns the number of their judgements in the set."""
    by_query: dict[str, list[tuple[str, int]]] = {}
    for row in split.qrels.to_pylist():
        if row["score"] > 0 and row["corpus-id"] not in row_of:
            by_query.setdefault(row["query-id"], []).append((row["corpus-id"], row["score"]))
    absent: dict[str, int] = {}
    for row in rows:
        for name, score in by_query.get(row["origin"], ()):
            place = absent.setdefault(name, len(row_of) + len(absent))
            judged.setdefault(row["_id"], {})[place] = score
    return sum(map(len, by_query.values()))


def _translated(split: RetrievalSplit) -> list[dict[str, Any]]:
    """Translations as query rows, named `QUERY@LANG` (`QUERY@LANG#2` where there is another in the same
    language).
    """
    rows, seen = [], Counter[tuple[str, str]]()
    columns = (split.queries.column(name).to_pylist() for name in ("_id", "source_id"))
    source_of = dict(zip(*columns, strict=True))
    for row in split.translations.to_pylist():
        key = (row["query_id"], row["lang"])
        seen[key] += 1
        suffix = f"#{seen[key]}" if seen[key] > 1 else ""
        rows.append(
            {
                "_id": f"{key[0]}@{key[1]}{suffix}",
                "text": row["text"],
                "lang": row["lang"],
                "source_id": row["query_id"],
                "origin": row["query_id"],
                # The id of the translation is made up here, so no document can have it but by chance.
                "own": {row["query_id"], source_of[row["query_id"]]},
            }
        )
    return rows
