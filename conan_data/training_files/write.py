"""The formats that other trainers read. Rows are written as they come.

sentence-transformers takes a row as (anchor, positive, negative, ...) by the order of its columns, all of them
filled; so a query with too few negatives is left out rather than filled up. FlagEmbedding's distillation takes
one teacher's score for each positive; ours is one for each query, so a query with several positives gets no
scores.
"""

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from conan_data import tables
from conan_data.retrieval import RetrievalSplit
from conan_data.training_files.examples import Example

_ROWS_A_GROUP = 4096


def write_columns(
    path: Path, examples: Iterable[Example], *, num_negatives: int, every_positive: bool
) -> Counter[str]:
    """Parquet with `anchor`, `positive`, `negative_1`, ... (`negative` where it is one). Counts queries by
    `kept` and `too-few-negatives`, and `written` rows.
    """
    names = [f"negative_{place + 1}" for place in range(num_negatives)] if num_negatives > 1 else ["negative"]
    counts: Counter[str] = Counter()
    with _Rows(path, ["anchor", "positive", *names]) as rows:
        for example in examples:
            if len(example.negatives) < num_negatives:
                counts["too-few-negatives"] += 1
                continue
            counts["kept"] += 1
            for positive in example.positives[: None if every_positive else 1]:
                rows.add([example.query, positive, *example.negatives[:num_negatives]])
        counts["written"] = rows.num_rows
    return counts


def write_triplets(path: Path, examples: Iterable[Example], *, every_positive: bool) -> Counter[str]:
    """Parquet with `anchor`, `positive`, `negative`; counts as in `write_columns`."""
    counts: Counter[str] = Counter()
    with _Rows(path, ["anchor", "positive", "negative"]) as rows:
        for example in examples:
            counts["kept"] += 1
            for positive in example.positives[: None if every_positive else 1]:
                for negative in example.negatives:
                    rows.add([example.query, positive, negative])
        counts["written"] = rows.num_rows
    return counts


def write_flag(path: Path, examples: Iterable[Example]) -> Counter[str]:
    """JSON lines with `query`, `pos`, `neg`, and `pos_scores`, `neg_scores` where every text has one; counts
    also those `without-scores`.
    """
    counts: Counter[str] = Counter()
    with open(path, "wb") as file:
        for example in examples:
            line: dict[str, Any] = {
                "query": example.query,
                "pos": example.positives,
                "neg": example.negatives,
            }
            scores = [example.positive_score, *example.scores]
            if len(example.positives) == 1 and all(map(math.isfinite, scores)):
                line |= {"pos_scores": scores[:1], "neg_scores": scores[1:]}
            else:
                counts["without-scores"] += 1
            file.write(orjson.dumps(line) + b"\n")
            counts["kept"] += 1
    counts["written"] = counts["kept"]
    return counts


def write_beir(directory: Path, data: RetrievalSplit, *, split: str) -> None:
    """`corpus.jsonl`, `queries.jsonl`, `qrels/SPLIT.tsv`."""
    for name, table, extra in (
        ("corpus", data.corpus, ("lang", "group")),
        ("queries", data.queries, ("lang", "source_id")),
    ):
        with open(directory / f"{name}.jsonl", "wb") as file:
            for batch in table.to_batches(max_chunksize=_ROWS_A_GROUP):
                for row in batch.to_pylist():
                    line = {key: row[key] or "" for key in ("_id", "title", "text") if key in row}
                    file.write(orjson.dumps({**line, "metadata": {key: row[key] for key in extra}}) + b"\n")
    (directory / "qrels").mkdir()
    with open(directory / "qrels" / f"{split}.tsv", "w", encoding="utf-8") as lines:
        lines.write("query-id\tcorpus-id\tscore\n")
        for batch in data.qrels.to_batches(max_chunksize=_ROWS_A_GROUP):
            lines.writelines(
                f"{row['query-id']}\t{row['corpus-id']}\t{row['score']}\n" for row in batch.to_pylist()
            )


def copy_negatives(source: Path, target: Path) -> int:
    """Copies a table of negatives batch by batch; returns its rows."""
    num_rows = 0
    with (
        pq.ParquetFile(source) as file,
        pq.ParquetWriter(target, tables.NEGATIVES, compression="zstd") as writer,
    ):
        for batch in file.iter_batches(_ROWS_A_GROUP):
            writer.write_table(tables.check(pa.Table.from_batches([batch]), tables.NEGATIVES, source))
            num_rows += batch.num_rows
    return num_rows


class _Rows:
    """A Parquet file of texts, to which rows are added."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self._schema = pa.schema([pa.field(name, pa.string(), nullable=False) for name in names])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[list[str]] = []
        self.num_rows = 0

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *error: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, row: list[str]) -> None:
        self._waiting.append(row)
        self.num_rows += 1
        if len(self._waiting) >= _ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        columns = zip(*self._waiting) if self._waiting else [[] for _ in self._schema]
        arrays = [pa.array(list(column), pa.string()) for column in columns]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._waiting.clear()
