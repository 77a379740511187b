"""A retrieval set as integers: what selection works on, and what a training run keeps in memory of a set of
millions.

Comparing ids and texts for each of a hundred million candidates is what makes mining slow and large; here
each id, group and text is turned into a row number or a code once. Two texts have the same code if they are
equal up to case and white space (a 64-bit hash decides).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conan_data.errors import UserError
from conan_data.retrieval import RetrievalSplit

_TEXTS_A_CHUNK = 8192


@dataclass(frozen=True)
class RetrievalArrays:
    """Q queries, N documents, E positives in compressed rows. Rows are those of the set's queries and corpus
    tables.
    """

    positive_offsets: np.ndarray
    """int64 [Q + 1]: the positives of query q are at `positive_offsets[q]` to `positive_offsets[q + 1]`."""
    positive_rows: np.ndarray
    """int32 [E]: document rows, ascending and distinct for each query."""
    groups: np.ndarray
    """int32 [N]: documents of the same code say the same thing; -1 for a document without a group."""
    texts: np.ndarray
    """int32 [N]: documents of the same code have the same text."""
    query_languages: np.ndarray
    """int32 [Q]: places in `languages`."""
    languages: tuple[str, ...]
    query_keys: np.ndarray | None = None
    """uint64 [Q]: what stands for a query in a draw, a hash of its id; only a draw needs it."""
    own_offsets: np.ndarray | None = None
    """int64 [Q + 1]: the own documents of query q are at `own_offsets[q]` to `own_offsets[q + 1]`; None where no query
    has one.
    """
    own_rows: np.ndarray | None = None
    """int32: documents that are the query itself: they have its id, or that of the query it is a translation of, or
    its text. Of documents with equal texts one stands for all. Such a document, whatever has its text and whatever is
    of its group are never negatives of the query (see `never_negative`).
    """

    @property
    def num_queries(self) -> int:
        return len(self.positive_offsets) - 1

    @property
    def num_documents(self) -> int:
        return len(self.groups)

    def positive_owners(self) -> np.ndarray:
        """int64 [E]: the query of each positive."""
        return np.repeat(np.arange(self.num_queries), np.diff(self.positive_offsets))

    def own(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the owners (int64) and the rows (int32) of all own documents."""
        if self.own_offsets is None or self.own_rows is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int32)
        return np.repeat(np.arange(self.num_queries), np.diff(self.own_offsets)), self.own_rows

    def num_answers(self) -> np.ndarray:
        """Return, int64 [Q], how many documents have no rank among the candidates of a query, or a little more: its
        positives, its own documents, and what is of the group of one or has the text of an own document.
        """
        members = np.bincount(self.groups[self.groups >= 0], minlength=1)
        own_owners, own_rows = self.own()
        owners = np.concatenate((self.positive_owners(), own_owners))
        groups = self.groups[np.concatenate((self.positive_rows, own_rows))]
        alone = np.bincount(owners[groups < 0], minlength=self.num_queries)
        pairs = np.unique(np.stack((owners, groups))[:, groups >= 0], axis=1)
        found = alone + _weighted(pairs[0], members[pairs[1]], self.num_queries)
        if len(own_rows):
            same_text = np.bincount(self.texts, minlength=1) - 1
            found += _weighted(own_owners, same_text[self.texts[own_rows]], self.num_queries)
        return found

    def take_queries(self, rows: np.ndarray) -> "RetrievalArrays":
        """The same documents, and the queries at `rows` in that order."""
        offsets, positive_rows = take_compressed(self.positive_offsets, self.positive_rows, rows)
        own_offsets = own_rows = None
        if self.own_offsets is not None and self.own_rows is not None:
            own_offsets, own_rows = take_compressed(self.own_offsets, self.own_rows, rows)
        return RetrievalArrays(
            positive_offsets=offsets,
            positive_rows=positive_rows,
            groups=self.groups,
            texts=self.texts,
            query_languages=self.query_languages[rows],
            languages=self.languages,
            query_keys=None if self.query_keys is None else self.query_keys[rows],
            own_offsets=own_offsets,
            own_rows=own_rows,
        )


def take_compressed(
    offsets: np.ndarray, values: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets and values of some rows of compressed rows, in the order of `rows`."""
    sizes = np.diff(offsets)[rows]
    taken = np.concatenate(([0], np.cumsum(sizes)))
    return taken, values[np.arange(taken[-1]) + np.repeat(offsets[:-1][rows] - taken[:-1], sizes)]


def compressed(owners: np.ndarray, rows: np.ndarray, num_owners: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct (owner, row) pairs as offsets (int64 [num_owners + 1]) and rows (int32, ascending for each)."""
    width = int(rows.max(initial=0)) + 1
    owner_E, row_E = np.divmod(np.unique(owners.astype(np.int64) * width + rows), width)
    offsets = np.zeros(num_owners + 1, np.int64)
    np.cumsum(np.bincount(owner_E, minlength=num_owners), out=offsets[1:])
    return offsets, row_E.astype(np.int32)


def retrieval_arrays(data: RetrievalSplit) -> RetrievalArrays:
    """The arrays of one split. A positive is a judgement above 0; raises `UserError` for one of an unknown
    query or document.
    """
    offsets, rows = _positives(data)
    hashes = text_hashes(document_texts(data.corpus))
    id_owners, id_rows = own_by_id(data.queries, data.corpus)
    text_owners, text_rows = own_by_text(data.queries, data.corpus, hashes)
    own_offsets, own_rows = compressed(
        np.append(id_owners, text_owners), np.append(id_rows, text_rows), data.queries.num_rows
    )
    languages = pc.dictionary_encode(data.queries.column("lang")).combine_chunks()
    return RetrievalArrays(
        positive_offsets=offsets,
        positive_rows=rows,
        groups=group_codes(data.corpus.column("group")),
        texts=codes_of(hashes),
        query_languages=languages.indices.to_numpy(zero_copy_only=False).astype(np.int32),
        languages=tuple(languages.dictionary.to_pylist()),
        query_keys=id_keys(data.queries.column("_id")),
        own_offsets=own_offsets,
        own_rows=own_rows,
    )


def document_texts(corpus: pa.Table) -> Iterator[str]:
    """Title and text of each document as one string, as mteb joins them: with a space, and without one where
    there is no title.
    """
    for batch in corpus.select(["title", "text"]).to_batches(max_chunksize=_TEXTS_A_CHUNK):
        for title, text in zip(
            batch.column("title").to_pylist(), batch.column("text").to_pylist(), strict=True
        ):
            yield f"{title or ''} {text}".strip()


def never_negative(arrays: RetrievalArrays, query_C: np.ndarray, row_CD: np.ndarray) -> np.ndarray:
    """Return, bool [C, D], whether document `row_CD[c]` must not be a negative of the query in row `query_C[c]`: it is
    a known positive or the query itself, it is of the group of one, or it has the text of the query.
    """
    taken = arrays.take_queries(query_C)
    own_owner, own_row = taken.own()
    owner_E = np.concatenate((taken.positive_owners(), own_owner))
    row_E = np.concatenate((taken.positive_rows, own_row))
    found_CD = contains(owner_E, row_E, row_CD)
    found_CD |= contains(owner_E, taken.groups[row_E], taken.groups[row_CD])
    return found_CD | contains(own_owner, taken.texts[own_row], taken.texts[row_CD])


def contains(owners: np.ndarray, codes: np.ndarray, wanted_QK: np.ndarray) -> np.ndarray:
    """Return, bool [Q, K], whether (query, wanted code) is among the (owner, code) pairs; a negative code equals
    nothing.
    """
    known = codes >= 0
    if not known.any():
        return np.zeros(wanted_QK.shape, bool)
    width = max(int(codes.max()), int(wanted_QK.max(initial=0))) + 1
    pairs = np.unique(owners[known].astype(np.int64) * width + codes[known])
    keys_QK = np.arange(len(wanted_QK), dtype=np.int64)[:, None] * width + wanted_QK
    places_QK = np.minimum(np.searchsorted(pairs, keys_QK), len(pairs) - 1)
    return (pairs[places_QK] == keys_QK) & (wanted_QK >= 0)


def id_keys(ids: pa.ChunkedArray) -> np.ndarray:
    """uint64 [n]: hashes of ids."""
    hashes = (
        hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for name in ids.to_pylist()
    )
    return np.frombuffer(b"".join(hashes), np.uint64)


def text_codes(texts: Iterable[str]) -> np.ndarray:
    """int32 [n]: equal for texts that are equal up to case and white space."""
    return codes_of(text_hashes(texts))


def text_hashes(texts: Iterable[str]) -> np.ndarray:
    """uint64 [n]: equal for texts that are equal up to case and white space, whatever they are compared with."""
    hashes = (
        hashlib.blake2b(
            " ".join(text.casefold().split()).encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        for text in texts
    )
    return np.frombuffer(b"".join(hashes), np.uint64)


def codes_of(hashes: np.ndarray) -> np.ndarray:
    """int32 [n]: equal for equal hashes, from 0."""
    _, codes = np.unique(hashes, return_inverse=True)
    return codes.astype(np.int32)


def own_by_id(queries: pa.Table, corpus: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the (query, document) rows of the documents that have the id of a query, or of its source."""
    owners, rows = [], []
    for name in ("_id", "source_id"):
        found = pc.fill_null(pc.index_in(queries.column(name), value_set=corpus.column("_id")), -1)
        row_Q = found.to_numpy().astype(np.int64)
        owners.append(np.flatnonzero(row_Q >= 0))
        rows.append(row_Q[row_Q >= 0])
    return np.concatenate(owners), np.concatenate(rows)


def own_by_text(
    queries: pa.Table, corpus: pa.Table, text_hash_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the (query, document) rows of the documents that have the text of a query, as all of their text or as
    what stands below their title; one document for all that have its whole text.
    """
    query_hash_Q = text_hashes(queries.column("text").to_pylist())
    titled = np.flatnonzero(pc.not_equal(pc.fill_null(corpus.column("title"), ""), "").to_numpy())
    below = text_hashes(corpus.column("text").take(pa.array(titled)).to_pylist())
    hash_M = np.concatenate((text_hash_N, below))
    row_M = np.concatenate((np.arange(len(text_hash_N)), titled))
    asked = np.isin(hash_M, query_hash_Q)
    hash_M, row_M = hash_M[asked], row_M[asked]
    # In the order of the hashes, so that the documents of a query stand together.
    _, first = np.unique(np.stack((hash_M, text_hash_N[row_M])), axis=1, return_index=True)
    hash_M, row_M = hash_M[first], row_M[first]
    start_Q = np.searchsorted(hash_M, query_hash_Q, side="left")
    size_Q = np.searchsorted(hash_M, query_hash_Q, side="right") - start_Q
    place = np.arange(size_Q.sum()) + np.repeat(start_Q - (np.cumsum(size_Q) - size_Q), size_Q)
    return np.repeat(np.arange(len(query_hash_Q)), size_Q), row_M[place]


def _weighted(owners: np.ndarray, weights: np.ndarray, num_owners: int) -> np.ndarray:
    return np.bincount(owners, weights=weights, minlength=num_owners).astype(np.int64)


def _positives(data: RetrievalSplit) -> tuple[np.ndarray, np.ndarray]:
    judged = data.qrels.filter(pc.greater(data.qrels.column("score"), 0))
    queries = _rows_of(judged.column("query-id"), data.queries.column("_id"), "query-id")
    documents = _rows_of(judged.column("corpus-id"), data.corpus.column("_id"), "corpus-id")
    pairs = np.unique(queries * max(1, data.corpus.num_rows) + documents)
    owners, rows = np.divmod(pairs, max(1, data.corpus.num_rows))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=data.queries.num_rows))))
    return offsets.astype(np.int64), rows.astype(np.int32)


def _rows_of(ids: pa.ChunkedArray, known: pa.ChunkedArray, field: str) -> np.ndarray:
    """int64: for each id its row in `known`."""
    rows = pc.index_in(ids, value_set=known)
    if rows.null_count:
        unknown = ids[pc.index(rows.is_null(), True).as_py()].as_py()
        raise UserError(
            f"qrels: {field} {unknown!r} is not in the set; remove the judgement, or add what it names"
        )
    return rows.to_numpy().astype(np.int64)


def group_codes(groups: pa.ChunkedArray) -> np.ndarray:
    """int32 [n]: equal for documents of the same group, -1 for those without one."""
    encoded = pc.dictionary_encode(pc.if_else(pc.equal(groups, ""), None, groups)).combine_chunks()
    return pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
