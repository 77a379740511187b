"""Texts of evaluation sets among what is trained on.

A query of the evaluation in training makes its score a memory test; so does an answer as a positive. An answer
as a negative is worse to notice: the model is taught to push it away. Equal texts are found by their hashes (case
and white space aside), near ones by MinHash and the exact Jaccard similarity of their shingles, as in the dedup
of corpora. Translations are not found.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from conan_data.audit.pairs import Pairs
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.minhash import MinHash
from conan_data.corpus.dedup.shingles import jaccard, shingles
from conan_data.mining.arrays import document_texts, retrieval_arrays
from conan_data.public_names import published_value
from conan_data.retrieval import RetrievalSplit, read_retrieval

_NGRAMS = {"query": 2, "document": 5}
"""Units of a shingle; queries are short."""
_SHOWN = 300
_OF_A_KIND = 10


@dataclass(frozen=True)
class Leak:
    """One of our texts (`ours`: query, positive or negative) and one of the set's (`theirs`: query, answer or
    document).
    """

    against: str
    ours: str
    theirs: str
    id: str
    other_id: str
    similarity: float
    text: str
    other_text: str

    def to_json(self) -> dict[str, Any]:
        """With the beginnings of the texts."""
        return {**asdict(self), "text": self.text[:_SHOWN], "other_text": self.other_text[:_SHOWN]}


def find_leaks(pairs: Pairs, against: Sequence[str], split: str, *, near: float) -> list[Leak]:
    """The nearest text of each set for each of our queries, positives and negatives that has one; raises
    `UserError` for a set that is not there.
    """
    found: list[Leak] = []
    positives = np.unique(pairs.arrays.positive_rows)
    negatives = np.setdiff1d(pairs.documents_M, positives)
    for name in against:
        data = read_retrieval(name, split)
        answers = set(np.unique(retrieval_arrays(data).positive_rows).tolist())
        ours = pairs.data.queries.column("text").to_pylist()
        theirs = data.queries.column("text").to_pylist()
        for place, other, similarity in matches(ours, theirs, near=near, ngram=_NGRAMS["query"]):
            found.append(
                Leak(
                    published_value(name), "query", "query", _id(pairs.data.queries, place), _id(data.queries, other), similarity,
                    ours[place], theirs[other],
                )
            )  # fmt: skip
        documents = list(document_texts(data.corpus))
        for kind, rows in (("positive", positives), ("negative", negatives)):
            texts = _texts(pairs.data, rows)
            for place, other, similarity in matches(texts, documents, near=near, ngram=_NGRAMS["document"]):
                found.append(
                    Leak(
                        published_value(name), kind, "answer" if other in answers else "document",
                        _id(pairs.data.corpus, int(rows[place])), _id(data.corpus, other), similarity,
                        texts[place], documents[other],
                    )
                )  # fmt: skip
    return found


def count_leaks(leaks: Sequence[Leak]) -> list[dict[str, Any]]:
    """Equal and near texts by set and kind."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for leak in leaks:
        key = (leak.against, leak.ours, leak.theirs)
        counts.setdefault(key, Counter())["equal" if leak.similarity == 1 else "near"] += 1
    return [
        {"against": against, "ours": ours, "theirs": theirs, "equal": own["equal"], "near": own["near"]}
        for (against, ours, theirs), own in counts.items()
    ]


def matches(
    ours: Sequence[str], theirs: Sequence[str], *, near: float, ngram: int
) -> list[tuple[int, int, float]]:
    """(place, other place, similarity) of each of our texts that has an equal (1.0) or near one; the most
    similar, the first of several.
    """
    if not ours or not theirs:
        return []
    minhash = MinHash.from_config(DedupConfig(ngram=ngram, threshold=near))
    left, right = minhash.fingerprints(ours), minhash.fingerprints(theirs)
    by_hash: dict[tuple[int, ...], int] = {}
    for place, value in enumerate(right.exact.tolist()):
        by_hash.setdefault(tuple(value), place)
    candidates: dict[int, set[int]] = {}
    for band in range(left.keys.shape[1]):
        places = np.flatnonzero(right.has_keys)
        keys = right.keys[places, band]
        order = np.argsort(keys, kind="stable")
        keys, places = keys[order], places[order]
        wanted = np.flatnonzero(left.has_keys)
        starts, ends = (
            np.searchsorted(keys, left.keys[wanted, band], side=side) for side in ("left", "right")
        )
        for row in np.flatnonzero(ends > starts):
            candidates.setdefault(int(wanted[row]), set()).update(places[starts[row] : ends[row]].tolist())
    found = []
    for place, value in enumerate(left.exact.tolist()):
        equal = by_hash.get(tuple(value))
        if equal is not None:
            found.append((place, equal, 1.0))
        elif place in candidates:
            own = shingles(ours[place], ngram)
            best = max(
                (min(jaccard(own, shingles(theirs[other], ngram)), 0.9999), -other)
                for other in candidates[place]
            )
            if best[0] >= near:
                found.append((place, -best[1], best[0]))
    return found


def _texts(data: RetrievalSplit, rows: np.ndarray) -> list[str]:
    return list(document_texts(data.corpus.take(pa.array(rows))))


def _id(table: pa.Table, row: int) -> str:
    return table.column("_id")[row].as_py()


def shown_leaks(leaks: list[Leak]) -> list[Leak]:
    """Some of each kind, the worst kinds first."""
    order = {("query", "query"): 0, ("negative", "answer"): 1, ("positive", "answer"): 2}
    shown, seen = [], dict.fromkeys([*order, None], 0)
    for leak in sorted(leaks, key=lambda leak: (order.get((leak.ours, leak.theirs), 3), -leak.similarity)):
        kind = (leak.ours, leak.theirs) if (leak.ours, leak.theirs) in order else None
        seen[kind] += 1
        if seen[kind] <= _OF_A_KIND:
            shown.append(leak)
    return shown
