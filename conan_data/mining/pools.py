"""Mining itself, without files of its own: vectors and integer arrays in, pools of negatives out.

`conan-data mine` and the refresh of negatives during training are this one function, so what is mined before
training and what is mined in the middle of it differ in the model only. Nothing here knows a model or a
table: an `Encoder` gives vectors, a `Searcher` candidates, `selection` decides.

The number of candidates that a query needs is `depth` plus its answers, which stand at the top of its list
and are taken out. One query with a thousand translations must not make the search a thousand wider for all,
so queries are searched in the order of their number of answers, and pools do not depend on who is searched
with whom.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from conan_data.distributed import ALONE, Ranks
from conan_data.errors import UserError
from conan_data.mining.arrays import RetrievalArrays
from conan_data.mining.config import SelectionConfig
from conan_data.mining.embeddings import Embeddings, Texts, encode_part, encode_to_shards
from conan_data.mining.encoder import Encoder
from conan_data.mining.search.hits import Hits, Searcher
from conan_data.mining.search.rescore import pair_scores
from conan_data.mining.selection import REASONS, Pools, add_counts, reduce_positive_scores, select
from conan_data.mining.selection.select import Verdicts
from conan_data.mining.shards import Storage

_QUERIES, _DOCUMENTS = "queries", "corpus"
_CANDIDATES_A_BLOCK = 2**18
"""Candidates that are filtered at a time; the arrays for one take about 100 bytes."""


def mine_pools(
    encoder: Encoder,
    arrays: RetrievalArrays,
    selection: SelectionConfig,
    *,
    query_texts: Texts,
    query_ids: Texts,
    document_texts: Texts,
    document_ids: Texts,
    directory: Path,
    searcher: Searcher,
    shard_size: int = 16384,
    storage: Storage = "float16",
    cache: Path | None = None,
    verdicts: Verdicts | None = None,
    ranks: Ranks = ALONE,
) -> Pools:
    """Encodes queries and documents into `directory/queries` and `directory/corpus` and mines a pool for each
    query of `arrays`.

    Texts and ids are in the order of the rows of `arrays`. An interrupted run goes on where it stopped; see
    `embeddings` for what is used again. This is rank 0's part; other `ranks` call `search_for_rank_0` meanwhile.
    """
    encode = functools.partial(encode_to_shards, encoder, shard_size=shard_size, storage=storage, cache=cache)
    queries = encode(query_texts, query_ids, directory / _QUERIES, kind="query")
    documents = encode(document_texts, document_ids, directory / _DOCUMENTS, kind="document")
    ranks.wait()
    return pools_of_vectors(
        queries,
        documents,
        arrays,
        selection,
        searcher=searcher,
        verdicts=verdicts,
        directory=directory,
    )


def encode_share(
    encoder: Encoder,
    *,
    query_texts: Texts,
    query_ids: Texts,
    document_texts: Texts,
    document_ids: Texts,
    directory: Path,
    shard_size: int = 16384,
    storage: Storage = "float16",
    cache: Path | None = None,
    ranks: Ranks,
) -> None:
    """Encodes this rank's shards of what `mine_pools` lists and searches afterwards; returns when all ranks
    are done.
    """
    encode = functools.partial(
        encode_part,
        encoder,
        rank=ranks.rank,
        world_size=ranks.world_size,
        shard_size=shard_size,
        storage=storage,
        cache=cache,
    )
    encode(query_texts, query_ids, directory / _QUERIES, kind="query")
    encode(document_texts, document_ids, directory / _DOCUMENTS, kind="document")
    ranks.wait()


def search_for_rank_0(
    arrays: RetrievalArrays,
    selection: SelectionConfig,
    *,
    fingerprint: str,
    directory: Path,
    searcher: Searcher,
    ranks: Ranks,
) -> None:
    """What a rank over 0 does while rank 0 is in `mine_pools` with the same arguments."""
    ranks.wait()
    queries = Embeddings.open(directory / _QUERIES, fingerprint=fingerprint)
    documents = Embeddings.open(directory / _DOCUMENTS, fingerprint=fingerprint)
    for _ in _searches(queries, documents, arrays, selection, searcher=searcher):
        pass


def pools_of_vectors(
    queries: Embeddings,
    documents: Embeddings,
    arrays: RetrievalArrays,
    selection: SelectionConfig,
    *,
    searcher: Searcher,
    verdicts: Verdicts | None = None,
    directory: Path | None = None,
) -> Pools:
    """A pool for each query, in the order of `queries`; see `selection` for what is in it.

    Large pools are mapped to files without a name in `directory`, where one is given: for a million queries
    they would take a gigabyte of memory. Raises `UserError` where a band has no judge (`verdicts`).
    """
    if selection.has_band and verdicts is None:
        raise UserError("select.band_above, band_below: name a judge (judge.kind), or leave the band out")
    assert (len(queries), len(documents)) == (arrays.num_queries, arrays.num_documents), (
        "the vectors are not those of the arrays"
    )
    positive_scores_Q = reduce_positive_scores(
        pair_scores(queries, documents, arrays.positive_owners(), arrays.positive_rows),
        arrays.positive_offsets,
        reference=selection.reference,
    )
    pools = Pools.empty(
        positive_scores_Q,
        pool_size=selection.pool_size,
        counts=dict.fromkeys(REASONS, 0),
        directory=directory,
    )
    assert pools.reasons is not None
    for block, hits in _searches(queries, documents, arrays, selection, searcher=searcher):
        k = hits.rows.shape[1]
        for part in _slices(len(block), max(1, _CANDIDATES_A_BLOCK // max(1, k))):
            rows = block[part]
            chosen = select(
                hits.rows[part],
                hits.scores[part],
                arrays=arrays.take_queries(rows),
                selection=selection,
                positive_scores_Q=positive_scores_Q[rows],
                vectors=documents.gather,
                verdicts=verdicts and _of_rows(verdicts, rows),
            )
            pools.rows[rows], pools.scores[rows], pools.ranks[rows] = chosen.rows, chosen.scores, chosen.ranks
            pools.reasons[rows] = chosen.reasons
            add_counts(pools.counts, chosen.counts)
    return pools


def _searches(
    queries: Embeddings,
    documents: Embeddings,
    arrays: RetrievalArrays,
    selection: SelectionConfig,
    *,
    searcher: Searcher,
) -> Iterator[tuple[np.ndarray, Hits]]:
    """(query rows, their hits), a pass of the searcher at a time, for all queries with a positive."""
    searcher.prepare(queries, documents, k=selection.depth)
    num_answers_Q = arrays.num_answers()
    answerable = np.flatnonzero(np.diff(arrays.positive_offsets) > 0)
    order = answerable[np.argsort(num_answers_Q[answerable], kind="stable")]
    for block, k in _query_blocks(
        order, selection.depth + num_answers_Q, searcher, dimension=documents.dimension
    ):
        yield block, searcher.search(queries.gather(block), documents, k=k)


def _query_blocks(
    order: np.ndarray, widths_Q: np.ndarray, searcher: Searcher, *, dimension: int
) -> list[tuple[np.ndarray, int]]:
    """(query rows, candidates) of each search, every block one pass of the searcher.

    `widths_Q[order]` ascends, so a block is as wide as its last query.
    """
    blocks: list[tuple[np.ndarray, int]] = []
    start = 0
    while start < len(order):
        size = len(order) - start
        # Wide queries are kept apart from narrow ones: a block at most doubles the narrowest search in it.
        size = min(
            size, int(np.searchsorted(widths_Q[order[start:]], 2 * widths_Q[order[start]], side="right"))
        )
        while size > max(
            1, searcher.batch_size(dimension=dimension, k=int(widths_Q[order[start + size - 1]]))
        ):
            size = -(-size // 2)
        blocks.append((order[start : start + size], int(widths_Q[order[start + size - 1]])))
        start += size
    return blocks


def _of_rows(verdicts: Verdicts, rows: np.ndarray) -> Verdicts:
    """`verdicts` on the queries at `rows`."""
    return lambda queries, documents: verdicts(rows[queries], documents)


def _slices(num_rows: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, num_rows, size)]
