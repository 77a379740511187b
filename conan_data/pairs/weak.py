"""Read training data, by the million rows, into a `PairSet` (see `training_rows` for what a row may look like)."""

import logging
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from conan_data.pairs.pair_set import NUM_EXAMPLES, PairSet, from_pairs, require_pairs
from conan_data.pairs.rows import PairFields, pair_sources, read_pair_rows
from conan_data.pairs.texts import TextTable
from conan_data.pairs.training_rows import Text, TrainingRow, hints
from conan_data.readers import Broken
from conan_data.readers.account import Account

# R rows that give something, E pairs, G given negatives, Q distinct queries

log = logging.getLogger(__name__)


def read_pairs(
    inputs: Sequence[str],
    *,
    split: str = "train",
    fields: PairFields | None = None,
    min_score: float | None = None,
    group_regex: str = "",
) -> PairSet:
    """Return the pairs of all inputs, where a query or document of equal text is one.

    `split` and `group_regex` are for retrieval sets. With `min_score` a weak pair below it, or without a score,
    is dropped, and so is a query for which no row names a positive. Raises `UserError` where an input is not there,
    no row has a field that is asked for, or no pair is left.
    """
    collector = _Collector()
    for path, source in pair_sources(inputs):
        for row in read_pair_rows(
            path,
            collector.account,
            source=source,
            split=split,
            fields=fields,
            min_score=min_score,
            group_regex=group_regex,
        ):
            collector.add(row)
    pairs = collector.finish(inputs)
    collector.account.say()
    return pairs


@dataclass
class _Collector:
    queries: TextTable = field(default_factory=TextTable)
    documents: TextTable = field(default_factory=TextTable)
    num_read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: list[Broken] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    account: Account = field(default_factory=Account)

    def __post_init__(self) -> None:
        # One number a query, and for each of its documents the query's number and the document's, as they come.
        self._query_sources = _Numbers(1)
        self._pairs = _Numbers(2)
        self._negatives = _Numbers(2)
        self._num_queries = 0
        self._num_documents = 0

    def add(self, row: TrainingRow | Broken) -> None:
        self.num_read += 1
        if isinstance(row, Broken):
            self.dropped[row.reason] += 1
            if len(self.examples) < NUM_EXAMPLES:
                self.examples.append(row)
            return
        self.queries.add(row.query, row.lang)
        self._query_sources.add(self.sources.setdefault(row.source, len(self.sources)))
        for document in row.positives:
            self._pairs.add(self._num_queries, self._document(document))
        for document in row.negatives:
            self._negatives.add(self._num_queries, self._document(document))
        self._num_queries += 1

    def finish(self, inputs: Sequence[str]) -> PairSet:
        query_E, document_E = self._pairs.columns()
        negative_query_G, negative_document_G = self._negatives.columns()
        if not len(query_E) and self._num_queries:
            self.dropped["no-positive"] += self._num_queries
        require_pairs(
            len(query_E), [str(path) for path in inputs], self.dropped, hint=hints(sorted(self.dropped))
        )
        queries, row_of_query = self.queries.finish()
        documents, row_of_document = self.documents.finish()
        has_positive_Q = np.zeros(queries.num_rows, bool)
        has_positive_Q[row_of_query[query_E]] = True
        self._drop_without_positive(has_positive_Q[row_of_query], negative_query_G)
        new_row_Q = np.cumsum(has_positive_Q, dtype=np.int64) - 1
        sources = np.zeros(queries.num_rows, np.int32)
        # Backwards, so that the first of equal queries decides.
        sources[row_of_query[::-1]] = self._query_sources.columns()[0][::-1]
        is_kept_G = has_positive_Q[row_of_query[negative_query_G]]
        negative_query_G, negative_document_G = negative_query_G[is_kept_G], negative_document_G[is_kept_G]
        pairs = new_row_Q[row_of_query[query_E]], row_of_document[document_E]
        negatives = new_row_Q[row_of_query[negative_query_G]], row_of_document[negative_document_G]
        self.account.dropped_negatives["negative-is-positive"] += _num_common(
            pairs, negatives, documents.num_rows
        )
        self._drop_repeated(
            (query_E, *pairs), (negative_query_G, *negatives), num_documents=documents.num_rows
        )
        return from_pairs(
            queries.filter(pa.array(has_positive_Q)),
            documents,
            *pairs,
            query_sources=sources[has_positive_Q],
            sources=tuple(self.sources),
            negatives=negatives,
            broken=self.examples,
            num_read=self.num_read,
            dropped=self.dropped,
            account=self.account,
        )

    def _drop_without_positive(self, has_positive_R: np.ndarray, negative_query_G: np.ndarray) -> None:
        """Counts the rows of queries for which no row names a positive."""
        if num_rows := int((~has_positive_R).sum()):
            self.dropped["no-positive"] += num_rows
            lost = int((~has_positive_R[negative_query_G]).sum())
            self.account.dropped_negatives["query-without-positive"] += lost
            log.warning(
                "%s rows are dropped, with their %s negatives, for no row names a positive of their queries",
                f"{num_rows:,}",
                f"{lost:,}",
            )

    def _drop_repeated(self, *triples: tuple[np.ndarray, np.ndarray, np.ndarray], num_documents: int) -> None:
        """Counts the rows that say nothing new: all of whose pairs, and negatives, were there already. Each triple is
        the row, the query and the document of every pair, or of every negative.
        """
        row_P = np.concatenate([row for row, _, _ in triples])
        key_P = np.concatenate(
            [
                2 * (query.astype(np.int64) * num_documents + document) + kind
                for kind, (_, query, document) in enumerate(triples)
            ]
        )
        # Of equal ones the first in the order of rows.
        order = np.argsort(row_P, kind="stable")
        _, first = np.unique(key_P[order], return_index=True)
        repeated = len(np.unique(row_P)) - len(np.unique(row_P[order][first]))
        if repeated:
            self.dropped["duplicate-pair"] += repeated

    def _document(self, document: Text) -> int:
        self.documents.add(document.text, document.lang, document.group)
        self._num_documents += 1
        return self._num_documents - 1


def _num_common(
    pairs: tuple[np.ndarray, np.ndarray], negatives: tuple[np.ndarray, np.ndarray], num_documents: int
) -> int:
    """Returns how many distinct negatives (query, document) are pairs, too."""
    pair_E, negative_G = (
        query.astype(np.int64) * num_documents + document for query, document in (pairs, negatives)
    )
    return int(np.isin(np.unique(negative_G), pair_E).sum())


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
