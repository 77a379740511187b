"""Negatives with their texts, a few thousand queries at a time, so that millions of them never stand in memory
together: ids and scores come from the table of negatives, texts from the set's Arrow tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from conan_data import tables
from conan_data.errors import UserError
from conan_data.mining.arrays import document_texts, retrieval_arrays
from conan_data.retrieval import RetrievalSplit

_QUERIES_A_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Example:
    """A query with its positives and negatives, best first; scores are NaN where there are none."""

    query: str
    positives: list[str]
    negatives: list[str]
    scores: list[float]
    positive_score: float


def read_examples(path: Path, data: RetrievalSplit, *, num_negatives: int) -> Iterator[Example]:
    """The rows of a table of negatives, with at most `num_negatives` each. Raises `UserError` for one that names
    what `data` does not hold.
    """
    arrays = retrieval_arrays(data)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_QUERIES_A_BATCH):
            table = tables.check(pa.Table.from_batches([batch]), tables.NEGATIVES, path)
            rows = rows_of(table.column("query_id"), data.queries.column("_id"), path, "query_id")
            pool = pc.list_slice(table.column("pool"), 0, num_negatives).combine_chunks()
            items = pool.flatten()
            documents = rows_of(items.field("corpus_id"), data.corpus.column("_id"), path, "pool.corpus_id")
            positives = arrays.take_queries(rows)
            texts = _Texts(data.corpus, np.concatenate((positives.positive_rows, documents)))
            ends = np.cumsum(pc.list_value_length(pool).to_numpy(zero_copy_only=False))
            scores = items.field("score").to_pylist()
            offsets = positives.positive_offsets
            for place, (query, positive_score) in enumerate(
                zip(
                    data.queries.column("text").take(pa.array(rows)).to_pylist(),
                    table.column("positive_score").to_pylist(),
                    strict=True,
                )
            ):
                part = slice(int(ends[place - 1]) if place else 0, int(ends[place]))
                yield Example(
                    query,
                    texts.of(positives.positive_rows[offsets[place] : offsets[place + 1]]),
                    texts.of(documents[part]),
                    scores[part],
                    positive_score,
                )


def rows_of(ids: pa.Array | pa.ChunkedArray, known: pa.ChunkedArray, where: Path, field: str) -> np.ndarray:
    """int64: the row of each id in `known`; raises `UserError` for one that is not there."""
    rows = pc.index_in(ids, value_set=known)
    if rows.null_count:
        unknown = ids[pc.index(pc.is_null(rows), True).as_py()].as_py()
        raise UserError(
            f"{where}: {field} {unknown!r} is not in the retrieval set; name the set it was mined for"
        )
    return rows.to_numpy(zero_copy_only=False).astype(np.int64)


class _Texts:
    """The texts of some documents, each taken once."""

    def __init__(self, corpus: pa.Table, rows: np.ndarray) -> None:
        self._rows = np.unique(rows)
        self._texts = list(document_texts(corpus.take(pa.array(self._rows))))

    def of(self, rows: np.ndarray) -> list[str]:
        return [self._texts[place] for place in np.searchsorted(self._rows, rows)]
