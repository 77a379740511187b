"""A retrieval set as integers: what selection works on, and what a training run keeps in memory of a set of
millions.

Comparing ids and texts for each of a hundred million candidates is what makes mining slow and large; here
each id, group and text is turned into a row number or a code once. Two texts have the same code if they are
equal up to case and white space (a 64-bit hash decides).
"""

import hashlib
from collections.abc import Iterator
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

    @property
    def num_queries(self) -> int:
        return len(self.positive_offsets) - 1

    @property
    def num_documents(self) -> int:
        return len(self.groups)

    def positive_owners(self) -> np.ndarray:
        """int64 [E]: the query of each positive."""
        return np.repeat(np.arange(self.num_queries), np.diff(self.positive_offsets))

    def num_answers(self) -> np.ndarray:
        """int64 [Q]: documents that are positives of a query or of a positive's group."""
        members = np.bincount(self.groups[self.groups >= 0], minlength=1)
        owners, groups = self.positive_owners(), self.groups[self.positive_rows]
        alone = np.bincount(owners[groups < 0], minlength=self.num_queries)
        pairs = np.unique(np.stack((owners, groups))[:, groups >= 0], axis=1)
        return alone + np.bincount(pairs[0], weights=members[pairs[1]], minlength=self.num_queries).astype(
            np.int64
        )

    def take_queries(self, rows: np.ndarray) -> "RetrievalArrays":
        """The same documents, and the queries at `rows` in that order."""
        sizes = np.diff(self.positive_offsets)[rows]
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        places = np.arange(offsets[-1]) + np.repeat(self.positive_offsets[:-1][rows] - offsets[:-1], sizes)
        return RetrievalArrays(
            positive_offsets=offsets,
            positive_rows=self.positive_rows[places],
            groups=self.groups,
            texts=self.texts,
            query_languages=self.query_languages[rows],
            languages=self.languages,
            query_keys=None if self.query_keys is None else self.query_keys[rows],
        )


def retrieval_arrays(data: RetrievalSplit) -> RetrievalArrays:
    """The arrays of one split. A positive is a judgement above 0; raises `UserError` for one of an unknown
    query or document.
    """
    offsets, rows = _positives(data)
    languages = pc.dictionary_encode(data.queries.column("lang")).combine_chunks()
    return RetrievalArrays(
        positive_offsets=offsets,
        positive_rows=rows,
        groups=group_codes(data.corpus.column("group")),
        texts=text_codes(document_texts(data.corpus)),
        query_languages=languages.indices.to_numpy(zero_copy_only=False).astype(np.int32),
        languages=tuple(languages.dictionary.to_pylist()),
        query_keys=id_keys(data.queries.column("_id")),
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


def is_answer(arrays: RetrievalArrays, query_C: np.ndarray, row_CD: np.ndarray) -> np.ndarray:
    """bool [C, D]: whether document `row_CD[c]` is a known positive of the query in row `query_C[c]`, or of the group
    of one.
    """
    taken = arrays.take_queries(query_C)
    owner_E, group_E = taken.positive_owners(), taken.groups[taken.positive_rows]
    owner_CD = np.broadcast_to(np.arange(len(query_C))[:, None], row_CD.shape)
    is_answer = _among(
        owner_CD * arrays.num_documents + row_CD, owner_E * arrays.num_documents + taken.positive_rows
    )
    num_groups = int(arrays.groups.max(initial=-1)) + 1
    if num_groups:
        known = (owner_E * num_groups + group_E)[group_E >= 0]
        group_CD = arrays.groups[row_CD]
        is_answer |= (group_CD >= 0) & _among(owner_CD * num_groups + group_CD, known)
    return is_answer


def _among(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    return np.isin(values, np.unique(known))


def id_keys(ids: pa.ChunkedArray) -> np.ndarray:
    """uint64 [n]: hashes of ids."""
    hashes = (
        hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for name in ids.to_pylist()
    )
    return np.frombuffer(b"".join(hashes), np.uint64)


def text_codes(texts: Iterator[str]) -> np.ndarray:
    """int32 [n]: equal for texts that are equal up to case and white space."""
    hashes = (
        hashlib.blake2b(
            " ".join(text.casefold().split()).encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        for text in texts
    )
    _, codes = np.unique(np.frombuffer(b"".join(hashes), np.uint64), return_inverse=True)
    return codes.astype(np.int32)


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
