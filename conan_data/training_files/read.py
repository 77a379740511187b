"""Read training files of other trainers as a retrieval set with negatives.

They hold texts and no ids, and repeat a query for each of its positives. So a text is its own id here (a hash of
it), equal texts are one query or one document, and rows of one query are joined. A negative that another row
calls a positive of the same query is no negative: it is dropped and counted. A query for which no row names a
positive is dropped with its negatives, and its rows are counted. What a row means is decided in
`conan_data.pairs.training_rows`.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from conan_data import tables
from conan_data.errors import UserError
from conan_data.pairs.columns import PairFields
from conan_data.pairs.training_rows import Text, TrainingRow, Uses, hints, read_training_rows
from conan_data.readers import Broken
from conan_data.readers.account import Account
from conan_data.readers.rows import cut
from conan_data.retrieval import RetrievalSplit

IMPORTED = "imported"
"""`reason` of a negative that somebody else chose."""


@dataclass
class TrainingFile:
    """What the files hold together, by ids."""

    queries: dict[str, Text] = field(default_factory=dict)
    documents: dict[str, Text] = field(default_factory=dict)
    positives: dict[str, dict[str, float]] = field(default_factory=dict)
    """By query, its positives with their scores (NaN for none)."""
    negatives: dict[str, dict[str, float]] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    num_rows: int = 0
    waiting: dict[str, list[Broken]] = field(default_factory=dict)
    """By query without a positive so far, its rows, as they are refused where none comes."""

    def split(self) -> RetrievalSplit:
        """Return the retrieval set."""
        corpus = [
            {"_id": key, "title": "", "text": text.text, "lang": text.lang, "group": text.group or key}
            for key, text in self.documents.items()
        ]
        queries = [
            {"_id": key, "text": text.text, "lang": text.lang, "source_id": key}
            for key, text in self.queries.items()
        ]
        pairs = [(query, document) for query in self.queries for document in self.positives[query]]
        return RetrievalSplit(
            corpus=pa.Table.from_pylist(corpus, schema=tables.CORPUS),
            queries=pa.Table.from_pylist(queries, schema=tables.QUERIES),
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
        """Return the negatives of each query that has any, in their order."""
        rows = []
        for query, own in self.negatives.items():
            if own:
                known = [score for score in self.positives[query].values() if not math.isnan(score)]
                rows.append(
                    {
                        "query_id": query,
                        "pool": [
                            {"corpus_id": name, "score": score, "rank": rank, "reason": IMPORTED}
                            for rank, (name, score) in enumerate(own.items())
                        ],
                        "positive_score": max(known, default=math.nan),
                        "checkpoint": "",
                        "step": 0,
                    }
                )
        return pa.Table.from_pylist(rows, schema=tables.NEGATIVES)

    def add(self, row: TrainingRow) -> None:
        """Join a row to what is known of its query."""
        query = _id(row.query)
        self.queries.setdefault(query, Text(row.query, row.lang))
        positives = self.positives.setdefault(query, {})
        for text in row.positives:
            positives.setdefault(self._document(text), text.score)
        negatives = self.negatives.setdefault(query, {})
        for text in row.negatives:
            document = self._document(text)
            self.account.dropped_negatives["repeated"] += document in negatives
            negatives.setdefault(document, text.score)
        if positives:
            self.waiting.pop(query, None)
        else:
            refused = Broken(row.file, row.place, "no-positive", cut(row.query))
            self.waiting.setdefault(query, []).append(refused)

    def finish(self) -> None:
        """Drop queries without a positive, negatives that are positives, and documents that no query has."""
        lost = self.account.dropped_negatives
        for query, rows in self.waiting.items():
            self.broken += rows
            for row in rows:
                self.account.of(row.file).refuse(row)
            lost["query-without-positive"] += len(self.negatives.pop(query))
            del self.queries[query], self.positives[query]
        for query, own in self.negatives.items():
            for document in own.keys() & self.positives[query].keys():
                del own[document]
                lost["negative-is-positive"] += 1
        if self.waiting:
            used = {
                key
                for by_query in (self.positives, self.negatives)
                for own in by_query.values()
                for key in own
            }
            self.documents = {key: text for key, text in self.documents.items() if key in used}

    def _document(self, text: Text) -> str:
        key = _id(text.text)
        known = self.documents.get(key)
        if known is None or (text.group and not known.group):
            self.documents[key] = text if known is None else known._replace(group=text.group)
        return key


def read_training_files(
    files: Iterable[Path], *, language: str = "und", fields: PairFields | None = None
) -> TrainingFile:
    """Return what files of training data hold; `language` is that of rows that name none. Raises `UserError` for a file
    that holds something else, and where no query with a positive is left.
    """
    found = TrainingFile()
    for file in files:
        rows = read_training_rows(
            file, found.account, language=language, fields=fields, uses=Uses(scores=True)
        )
        for row in rows:
            found.num_rows += 1
            if isinstance(row, Broken):
                found.broken.append(row)
            else:
                found.add(row)
    found.finish()
    if not found.queries:
        reasons = {row.reason for row in found.broken}
        raise UserError(f"input: no query with a positive: {found.account.why()}{hints(sorted(reasons))}")
    found.account.say()
    return found


def _id(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
