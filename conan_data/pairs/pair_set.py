"""The one form in which contrastive training reads its data, wherever they come from: distinct queries,
distinct documents, which of these answer which, and which say the same.

Kept here: two queries of the same text are one query, whose positives are those of both; two documents of the
same text are one document. So a known answer cannot come up as a negative under another number.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.mining.arrays import (
    RetrievalArrays,
    codes_of,
    compressed,
    document_texts,
    group_codes,
    id_keys,
    own_by_text,
    retrieval_arrays,
    text_codes,
    text_hashes,
)
from conan_data.public_names import public_name
from conan_data.readers import Broken
from conan_data.readers.account import Account, merged
from conan_data.retrieval import RetrievalSplit, read_retrieval

# Q queries, N documents, E pairs, P negatives that came with a query

NO_NEGATIVE = -1
NUM_EXAMPLES = 1000
"""Refused rows that are kept to look at; all are counted."""


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """A retrieval form with what batches need to know of it."""

    data: RetrievalSplit
    """Of a set made from pairs the id columns of `qrels` are dictionaries over the ids of the tables."""
    arrays: RetrievalArrays
    query_sources: np.ndarray
    """int32 [Q]: places in `sources`."""
    sources: tuple[str, ...]
    document_languages: np.ndarray
    """int32 [N]: places in `arrays.languages`, -1 for a language that no query has."""
    given_negative_row_QP: np.ndarray
    """int32: documents that the data name as negatives of a query, `NO_NEGATIVE` after the last; P is 0 where
    they name none.
    """
    num_read: int
    """Rows that were read."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Of those, rows that gave nothing, by reason."""
    account: Account = field(default_factory=Account)
    """Refused rows and unused columns of each file; of retrieval sets there is none."""
    sets: dict[str, Any] = field(default_factory=dict)
    """What became of all rows and columns of each retrieval set, by its source (see `RetrievalSplit.account`)."""

    @property
    def num_queries(self) -> int:
        return self.arrays.num_queries

    def rows(self) -> artifact.Rows:
        return artifact.Rows(
            read=self.num_read, kept=self.num_read - self.dropped.total(), dropped=dict(self.dropped)
        )


def from_pairs(
    queries: pa.Table,
    documents: pa.Table,
    query_E: np.ndarray,
    document_E: np.ndarray,
    *,
    query_sources: np.ndarray,
    sources: tuple[str, ...],
    negatives: tuple[np.ndarray, np.ndarray] | None = None,
    broken: Sequence[Broken] = (),
    num_read: int,
    dropped: Counter[str],
    account: Account,
) -> PairSet:
    """Tables as `TextTable.finish` gives them, and the rows of each pair's query and document (and of each
    given negative's). Pairs that occur twice count once.
    """
    num_queries, num_documents = queries.num_rows, documents.num_rows
    pair_E = np.unique(query_E.astype(np.int64) * max(1, num_documents) + document_E)
    owner_E, row_E = (part.astype(np.int32) for part in np.divmod(pair_E, max(1, num_documents)))
    offsets = np.zeros(num_queries + 1, np.int64)
    np.cumsum(np.bincount(owner_E, minlength=num_queries), out=offsets[1:])
    languages = pc.dictionary_encode(queries.column("lang")).combine_chunks()
    corpus = documents.add_column(1, "title", pa.nulls(num_documents, pa.string()))
    data = RetrievalSplit(
        corpus=corpus,
        queries=queries.select(["_id", "text", "lang"]).append_column("source_id", queries.column("_id")),
        qrels=pa.table(
            {
                "query-id": _named(owner_E, queries.column("_id")),
                "corpus-id": _named(row_E, documents.column("_id")),
                "score": np.ones(len(row_E), np.int32),
            }
        ),
        translations=pa.table({}),
        broken=list(broken),
        num_query_rows=num_queries,
    )
    # Ids are hashes of texts: in data that go both ways (a is drawn to b, and b to a) a query is the positive of
    # another one, and must not become its own negative.
    own_row_Q = _places(queries.column("_id"), documents.column("_id").combine_chunks())
    has_own = np.flatnonzero(own_row_Q >= 0)
    own_offsets, own_rows = compressed(has_own, own_row_Q[has_own], num_queries)
    arrays = RetrievalArrays(
        positive_offsets=offsets,
        positive_rows=row_E,
        groups=group_codes(corpus.column("group")),
        texts=text_codes(document_texts(corpus)),
        query_languages=languages.indices.to_numpy(zero_copy_only=False).astype(np.int32),
        languages=tuple(languages.dictionary.to_pylist()),
        query_keys=id_keys(queries.column("_id")),
        own_offsets=own_offsets,
        own_rows=own_rows,
    )
    return PairSet(
        data=data,
        arrays=arrays,
        query_sources=query_sources.astype(np.int32),
        sources=sources,
        document_languages=_places(corpus.column("lang"), pa.array(arrays.languages, pa.string())),
        given_negative_row_QP=_given_negatives(negatives, pair_E, num_queries, num_documents),
        num_read=num_read,
        dropped=dropped,
        account=account,
    )


def from_retrieval(data: RetrievalSplit, source: str) -> PairSet:
    """A retrieval set with its own rows and ids."""
    arrays = retrieval_arrays(data)
    dropped = Counter(data.parts["queries"].dropped if data.parts else {})
    return PairSet(
        data=data,
        arrays=arrays,
        query_sources=np.zeros(arrays.num_queries, np.int32),
        sources=(source,),
        document_languages=_places(data.corpus.column("lang"), pa.array(arrays.languages, pa.string())),
        given_negative_row_QP=np.zeros((arrays.num_queries, 0), np.int32),
        num_read=data.num_query_rows,
        dropped=dropped,
        sets={source: data.account()} if data.parts else {},
    )


def read_retrieval_sets(paths: Sequence[str], split: str, *, group_regex: str = "") -> PairSet:
    """The split of one or more retrieval sets as one, with all of their documents. Raises `UserError` as
    `read_retrieval` does.
    """
    names = source_names(paths)
    return join(
        [
            from_retrieval(read_retrieval(path, split, group_regex=group_regex), name)
            for path, name in zip(paths, names, strict=True)
        ]
    )


def source_names(paths: Sequence[str | Path]) -> tuple[str, ...]:
    """Short names of inputs: their last part without endings; where that is not unique, as many last parts of their
    paths as tell them apart, so that the names do not depend on where all of them lie.
    """
    short = [Path(str(path)).name.split(".")[0] or str(path) for path in paths]
    parts = [Path(public_name(path)).parts for path in paths]
    return tuple(
        name
        if short.count(name) == 1
        else _shortest_tail(own, [other for other in parts if other is not own])
        for name, own in zip(short, parts, strict=True)
    )


def _shortest_tail(own: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    """The fewest last parts of a path that no other one ends in; all of them where an equal one is among the others."""
    sizes = range(1, len(own) + 1)
    size = next((n for n in sizes if all(other[-n:] != own[-n:] for other in others)), len(own))
    return str(Path(*own[-size:]))


def join(sets: Sequence[PairSet]) -> PairSet:
    """Several sets as one: their rows one after the other. Where ids clash, all ids are prefixed by the place of
    their set (`0/`, `1/`); groups always are.
    """
    if len(sets) == 1:
        return sets[0]
    clash = any(
        len(
            pc.unique(
                pa.chunked_array([c for s in sets for c in getattr(s.data, table).column("_id").chunks])
            )
        )
        < sum(getattr(s.data, table).num_rows for s in sets)
        for table in ("queries", "corpus")
    )
    data = [_prefixed(pair_set.data, f"{place}/", with_ids=clash) for place, pair_set in enumerate(sets)]
    languages = tuple(dict.fromkeys(name for pair_set in sets for name in pair_set.arrays.languages))
    maps = [np.array([languages.index(name) for name in s.arrays.languages] + [-1]) for s in sets]
    sources = tuple(name for pair_set in sets for name in pair_set.sources)
    corpus = pa.concat_tables([part.corpus for part in data], promote_options="default")
    queries = pa.concat_tables([part.queries for part in data], promote_options="default")
    row_starts = np.cumsum([0] + [s.arrays.num_documents for s in sets])
    source_starts = np.cumsum([0] + [len(s.sources) for s in sets])
    group_starts = np.cumsum([0] + [int(s.arrays.groups.max(initial=-1)) + 1 for s in sets])
    sizes = np.concatenate([np.diff(s.arrays.positive_offsets) for s in sets])
    hashes = text_hashes(document_texts(corpus))
    own = [s.arrays.own() for s in sets]
    query_starts = np.cumsum([0] + [s.num_queries for s in sets])
    # A query of one set may stand as a document in another one.
    text_owners, text_rows = own_by_text(queries, corpus, hashes)
    own_offsets, own_rows = compressed(
        np.append(_stack([(owners, start) for (owners, _), start in zip(own, query_starts)]), text_owners),
        np.append(_stack([(rows, start) for (_, rows), start in zip(own, row_starts)]), text_rows),
        queries.num_rows,
    )
    arrays = RetrievalArrays(
        positive_offsets=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        positive_rows=_stack([(s.arrays.positive_rows, start) for s, start in zip(sets, row_starts)]),
        groups=_stack([(s.arrays.groups, start) for s, start in zip(sets, group_starts)]),
        texts=codes_of(hashes),
        query_languages=np.concatenate(
            [places[s.arrays.query_languages] for s, places in zip(sets, maps)]
        ).astype(np.int32),
        languages=languages,
        query_keys=id_keys(queries.column("_id")),
        own_offsets=own_offsets,
        own_rows=own_rows,
    )
    widest = max(s.given_negative_row_QP.shape[1] for s in sets)
    return PairSet(
        data=RetrievalSplit(
            corpus=corpus,
            queries=queries,
            qrels=pa.concat_tables([part.qrels for part in data], promote_options="default"),
            translations=pa.table({}),
            broken=[row for part in data for row in part.broken],
            num_query_rows=sum(part.num_query_rows for part in data),
        ),
        arrays=arrays,
        query_sources=_stack([(s.query_sources, start) for s, start in zip(sets, source_starts)]),
        sources=sources,
        document_languages=_places(corpus.column("lang"), pa.array(languages, pa.string())),
        given_negative_row_QP=_stack(
            [
                (
                    np.pad(
                        s.given_negative_row_QP,
                        ((0, 0), (0, widest - s.given_negative_row_QP.shape[1])),
                        constant_values=NO_NEGATIVE,
                    ),
                    start,
                )
                for s, start in zip(sets, row_starts)
            ]
        ),
        num_read=sum(s.num_read for s in sets),
        dropped=sum((s.dropped for s in sets), Counter()),
        account=merged([s.account for s in sets]),
        sets={name: own for s in sets for name, own in s.sets.items()},
    )


def require_pairs(
    num_pairs: int, where: Sequence[str], dropped: Counter[str], what: str = "pair", *, hint: str = ""
) -> None:
    """Raise `UserError` where nothing is left; `hint` says what to do."""
    if num_pairs == 0:
        why = ", ".join(f"{reason}: {count}" for reason, count in dropped.most_common()) or "no rows"
        raise UserError(f"{', '.join(where)}: no usable {what} ({why}){hint}")


def _named(row_E: np.ndarray, ids: pa.ChunkedArray) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(row_E, pa.int32()), ids.combine_chunks())


def _places(names: pa.ChunkedArray, known: pa.Array) -> np.ndarray:
    """int32: where each name is among those known, -1 where it is not."""
    found = pc.index_in(names.cast(known.type), value_set=known)
    return pc.fill_null(found, -1).to_numpy().astype(np.int32)


def _stack(parts: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """Row numbers or codes of several sets, each moved to its start; what is negative (none) stays."""
    return np.concatenate([np.where(values < 0, values, values + start) for values, start in parts]).astype(
        np.int32
    )


def _given_negatives(
    negatives: tuple[np.ndarray, np.ndarray] | None, pair_E: np.ndarray, num_queries: int, num_documents: int
) -> np.ndarray:
    """Those that are not positives of the query as well, in ascending order."""
    if negatives is None or not len(negatives[0]):
        return np.zeros((num_queries, 0), np.int32)
    query_G, document_G = negatives
    given = np.setdiff1d(query_G.astype(np.int64) * num_documents + document_G, pair_E)
    owner, row = np.divmod(given, num_documents)
    size_Q = np.bincount(owner, minlength=num_queries)
    place = np.arange(len(given)) - np.repeat(np.cumsum(size_Q) - size_Q, size_Q)
    row_QP = np.full((num_queries, int(size_Q.max(initial=0))), NO_NEGATIVE, np.int32)
    row_QP[owner, place] = row
    return row_QP


def _prefixed(data: RetrievalSplit, prefix: str, *, with_ids: bool) -> RetrievalSplit:
    def prefixed(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
        for name in names:
            column = table.column(name).cast(pa.string())
            named = pc.if_else(pc.equal(column, ""), "", pc.binary_join_element_wise(prefix, column, ""))
            table = table.set_column(table.column_names.index(name), name, named)
        return table

    return RetrievalSplit(
        corpus=prefixed(data.corpus, ("_id", "group") if with_ids else ("group",)),
        queries=prefixed(data.queries, ("_id",) if with_ids else ()),
        qrels=prefixed(data.qrels, ("query-id", "corpus-id"))
        if with_ids
        else data.qrels.set_column(0, "query-id", data.qrels.column(0).cast(pa.string())).set_column(
            1, "corpus-id", data.qrels.column(1).cast(pa.string())
        ),
        translations=data.translations,
        broken=data.broken,
        num_query_rows=data.num_query_rows,
    )
