"""The sample as a table for a person to fill in, and the labels read back.

Scores are left out and the order is random, so that a label is of the texts alone.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from conan_data.audit.pairs import Pairs
from conan_data.errors import UserError
from conan_data.mining.arrays import document_texts
from conan_data.readers import Broken
from conan_data.readers.csv_rows import tsv_rows

COLUMNS = ("query_id", "corpus_id", "label", "query", "positive", "document")
YES, NO = {"1", "yes", "y", "true", "positive"}, {"0", "no", "n", "false", "negative"}
_LONGEST = 2000


def write_to_label(path: Path, pairs: Pairs, sample_n: np.ndarray, labels: dict[int, float]) -> None:
    """Writes the pairs `sample_n`; those with a label in `labels` carry it."""
    queries = pairs.data.queries.take(pa.array(pairs.queries_M[sample_n]))
    documents = pairs.data.corpus.take(pa.array(pairs.documents_M[sample_n]))
    first = pairs.arrays.positive_rows[pairs.arrays.positive_offsets[pairs.queries_M[sample_n]]]
    positives = pairs.data.corpus.take(pa.array(first))
    known = [str(int(labels[pair])) if pair in labels else "" for pair in sample_n.tolist()]
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write("\t".join(COLUMNS) + "\n")
        for row in zip(
            queries.column("_id").to_pylist(),
            documents.column("_id").to_pylist(),
            known,
            queries.column("text").to_pylist(),
            document_texts(positives),
            document_texts(documents),
            strict=True,
        ):
            file.write("\t".join(" ".join(value[:_LONGEST].split()) for value in row) + "\n")


def read_labels(path: str, pairs: Pairs) -> dict[int, float]:
    """Return 1 or 0 by pair; rows without a label are passed over. Raises `UserError` for a file that is not there, or
    cannot be read, a label that is none, and a pair that is not among the negatives.
    """
    known = _places(pairs)
    found: dict[int, float] = {}
    if not Path(path).is_file():
        raise UserError(f"labels: {path} is no file; fill in the to_label.tsv of an audit")
    for row in tsv_rows(path):
        if isinstance(row, Broken):
            raise UserError(f"labels: {path}, line {row.place}: cannot be read ({row.reason})")
        missing = [name for name in COLUMNS[:3] if name not in row.values]
        if missing:
            raise UserError(f"labels: {path} has no column {missing[0]!r}; it needs {', '.join(COLUMNS[:3])}")
        label = row.values["label"].strip().lower()
        if not label:
            continue
        if label not in YES | NO:
            raise UserError(f"labels: {path}, line {row.place}: label {label!r} is neither 1, yes nor 0, no")
        query, document = row.values["query_id"], row.values["corpus_id"]
        pair = known.get((query, document))
        if pair is None:
            raise UserError(
                f"labels: {path}, line {row.place}: {document!r} is no negative of query {query!r}; "
                "label the to_label.tsv of these negatives"
            )
        found[pair] = float(label in YES)
    return found


def _places(pairs: Pairs) -> dict[tuple[str, str], int]:
    def ids(table: pa.Table, rows: np.ndarray) -> Sequence[str]:
        return table.column("_id").take(pa.array(rows)).to_pylist()

    names = zip(
        ids(pairs.data.queries, pairs.queries_M), ids(pairs.data.corpus, pairs.documents_M), strict=True
    )
    return {name: pair for pair, name in enumerate(names)}
