"""Training files of other trainers as a retrieval set with negatives.

They hold texts and no ids, and repeat a query for each of its positives. So a text is its own id here (a hash of
it), equal texts are one query or one document, and rows of one query are joined. A negative that another row
calls a positive of the same query is no negative: it is dropped and counted.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from conan_data import tables
from conan_data.errors import UserError
from conan_data.public_names import public_name
from conan_data.readers import Broken, Row, broken, read_rows
from conan_data.retrieval import RetrievalSplit

IMPORTED = "imported"
"""`reason` of a negative that somebody else chose."""
_NEGATIVE = re.compile(r"negative(_\d+)?")


class _Texts(NamedTuple):
    query: str
    positives: list[str]
    positive_scores: list[float]
    negatives: list[str]
    scores: list[float]


@dataclass
class TrainingFile:
    """What the files hold together; `dropped` counts negatives, by reason."""

    language: str
    queries: dict[str, str] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)
    positives: dict[str, dict[str, float]] = field(default_factory=dict)
    negatives: dict[str, dict[str, float]] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    num_rows: int = 0

    def split(self) -> RetrievalSplit:
        """The retrieval set."""
        ids, texts = list(self.documents), list(self.documents.values())
        languages = [self.language] * len(ids)
        corpus = {"_id": ids, "title": [""] * len(ids), "text": texts, "lang": languages, "group": ids}
        queries = list(self.queries)
        pairs = [(query, document) for query in queries for document in self.positives[query]]
        return RetrievalSplit(
            corpus=pa.table(corpus, schema=tables.CORPUS),
            queries=pa.table(
                {
                    "_id": queries,
                    "text": list(self.queries.values()),
                    "lang": [self.language] * len(queries),
                    "source_id": queries,
                },
                schema=tables.QUERIES,
            ),
            qrels=pa.table(
                {
                    "query-id": [query for query, _ in pairs],
                    "corpus-id": [document for _, document in pairs],
                    "score": np.ones(len(pairs), np.int32),
                },
                schema=tables.QRELS,
            ),
            translations=tables.TRANSLATIONS.empty_table(),
            broken=self.broken,
            num_query_rows=len(queries),
        )

    def pools(self) -> pa.Table:
        """The negatives of each query that has any, in their order."""
        rows = []
        for query, own in self.negatives.items():
            left = {name: score for name, score in own.items() if name not in self.positives[query]}
            self.dropped["negative-is-positive"] += len(own) - len(left)
            if left:
                known = [score for score in self.positives[query].values() if score == score]
                rows.append(
                    {
                        "query_id": query,
                        "pool": [
                            {"corpus_id": name, "score": score, "rank": rank, "reason": IMPORTED}
                            for rank, (name, score) in enumerate(left.items())
                        ],
                        "positive_score": max(known, default=float("nan")),
                        "checkpoint": "",
                        "step": 0,
                    }
                )
        return pa.Table.from_pylist(rows, schema=tables.NEGATIVES)

    def add(self, row: _Texts) -> None:
        """Joins one row to what is known of its query."""
        query = _id(row.query)
        self.queries[query] = row.query
        for texts, scores, known in (
            (row.positives, row.positive_scores, self.positives.setdefault(query, {})),
            (row.negatives, row.scores, self.negatives.setdefault(query, {})),
        ):
            for text, score in zip(texts, scores, strict=True):
                document = _id(text)
                self.documents[document] = text
                self.dropped["repeated"] += document in known and known is self.negatives[query]
                known.setdefault(document, score)


def read_training_files(files: Iterable[Path], *, language: str = "und") -> TrainingFile:
    """Reads files of FlagEmbedding or sentence-transformers, told apart by their fields. Raises `UserError` for
    a file that is neither, or that holds no usable row.
    """
    found = TrainingFile(language)
    for file in files:
        for row in read_rows(file):
            found.num_rows += 1
            if isinstance(row, Broken):
                found.broken.append(row)
                continue
            texts = _texts(row, file)
            if isinstance(texts, Broken):
                found.broken.append(texts)
            else:
                found.add(texts)
    if not found.queries:
        raise UserError("input: no usable row (a query with a positive)")
    return found


def _texts(row: Row, file: Path) -> _Texts | Broken:
    values = row.values
    if "pos" in values or "neg" in values:
        query, positives, negatives = values.get("query"), values.get("pos"), values.get("neg") or []
        positive_scores, scores = values.get("pos_scores"), values.get("neg_scores")
    else:
        query = values.get("anchor", values.get("query"))
        positives = values.get("positive")
        positives = [positives] if isinstance(positives, str) else positives
        negatives = [
            text
            for name, value in values.items()
            if _NEGATIVE.fullmatch(name) or name == "negatives"
            for text in ([value] if isinstance(value, str) else value or [])
        ]
        positive_scores = scores = None
        if query is None:
            raise UserError(
                f"{public_name(file)}: row {row.place} has neither query, pos, neg nor anchor, positive, negative; "
                f"its fields are {', '.join(values)}"
            )
    if not isinstance(query, str) or not query.strip():
        return broken(row, "no-query")
    if not _is_texts(positives) or not positives:
        return broken(row, "no-positive")
    if not _is_texts(negatives):
        return broken(row, "negative-is-no-text")
    known, left = _scores(positive_scores, len(positives)), _scores(scores, len(negatives))
    if known is None or left is None:
        return broken(row, "scores-do-not-match")
    return _Texts(query, positives, known, negatives, left)


def _is_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(text, str) and text.strip() for text in values)


def _scores(values: Any, size: int) -> list[float] | None:
    """One number a text, NaN where there are none; None where they do not match."""
    if not values:
        return [float("nan")] * size
    if not isinstance(values, list) or len(values) != size:
        return None
    if not all(isinstance(value, int | float) for value in values):
        return None
    return [float(value) for value in values]


def _id(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
