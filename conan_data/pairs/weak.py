"""Weak pairs, by the million, read into a `PairSet` (see `rows` for what a pair may look like)."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from conan_data.pairs.pair_set import NUM_EXAMPLES, PairSet, from_pairs, require_pairs
from conan_data.pairs.rows import PairFields, PairRow, Text, pair_sources, read_pair_rows
from conan_data.pairs.texts import TextTable
from conan_data.readers import Broken


def read_pairs(
    inputs: Sequence[str],
    *,
    split: str = "train",
    fields: PairFields | None = None,
    min_score: float | None = None,
    group_regex: str = "",
) -> PairSet:
    """The pairs of all inputs, where a query or document of equal text is one.

    `split` and `group_regex` are for retrieval sets. With `min_score` a weak pair below it, or without a score,
    is dropped. Raises `UserError` where an input is not there, no row has a field that is asked for, or no pair
    is left.
    """
    collector = _Collector()
    for path, source in pair_sources(inputs):
        for row in read_pair_rows(
            path, source=source, split=split, fields=fields, min_score=min_score, group_regex=group_regex
        ):
            collector.add(row)
    return collector.finish(inputs)


@dataclass
class _Collector:
    queries: TextTable = field(default_factory=TextTable)
    documents: TextTable = field(default_factory=TextTable)
    num_read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: list[Broken] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # One number a query, and for each of its documents the query's number and the document's, as they come.
        self._query_sources = _Numbers(1)
        self._pairs = _Numbers(2)
        self._negatives = _Numbers(2)
        self._num_queries = 0
        self._num_documents = 0

    def add(self, row: PairRow | Broken) -> None:
        self.num_read += 1
        if isinstance(row, Broken):
            self.dropped[row.reason] += 1
            if len(self.examples) < NUM_EXAMPLES:
                self.examples.append(row)
            return
        self.queries.add(row.query, row.lang)
        self._query_sources.add(self.sources.setdefault(row.source, len(self.sources)))
        for document in row.documents:
            self._pairs.add(self._num_queries, self._document(document))
        for document in row.negatives:
            self._negatives.add(self._num_queries, self._document(document))
        self._num_queries += 1

    def finish(self, inputs: Sequence[str]) -> PairSet:
        query_E, document_E = self._pairs.columns()
        require_pairs(len(query_E), [str(path) for path in inputs], self.dropped)
        queries, row_of_query = self.queries.finish()
        documents, row_of_document = self.documents.finish()
        sources = np.zeros(queries.num_rows, np.int32)
        # Backwards, so that the first of equal queries decides.
        sources[row_of_query[::-1]] = self._query_sources.columns()[0][::-1]
        pair_query_E, pair_document_E = row_of_query[query_E], row_of_document[document_E]
        self._drop_repeated(query_E, pair_query_E.astype(np.int64) * documents.num_rows + pair_document_E)
        negative_query, negative_document = self._negatives.columns()
        return from_pairs(
            queries,
            documents,
            pair_query_E,
            pair_document_E,
            query_sources=sources,
            sources=tuple(self.sources),
            negatives=(row_of_query[negative_query], row_of_document[negative_document]),
            broken=self.examples,
            num_read=self.num_read,
            dropped=self.dropped,
        )

    def _drop_repeated(self, query_E: np.ndarray, pair_E: np.ndarray) -> None:
        """Counts the rows all of whose pairs were there already."""
        _, first = np.unique(pair_E, return_index=True)
        repeated = self._num_queries - len(np.unique(query_E[first]))
        if repeated:
            self.dropped["duplicate-pair"] += repeated

    def _document(self, document: Text) -> int:
        self.documents.add(*document)
        self._num_documents += 1
        return self._num_documents - 1


class _Numbers:
    """Tuples of numbers below 2**32, four bytes each."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._values = array("I")

    def add(self, *values: int) -> None:
        self._values.extend(values)

    def columns(self) -> np.ndarray:
        """int64 [width, n]"""
        return np.frombuffer(self._values, np.uint32).reshape(-1, self._width).T.astype(np.int64)
