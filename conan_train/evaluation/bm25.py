"""BM25 for any script: the baseline that a trained model has to beat, and should beat across languages.

The usual tokenizer of BM25 takes runs of `\\w`, at least two long. That reads a Chinese sentence as one word,
and tears Hindi and Thai words apart at vowel signs, which `\\w` of the standard library does not count. Here
combining marks belong to words, and a run of a script without spaces becomes its overlapping pairs of
characters. There are no stop words and no stemming: both would favour the languages that have them.

Documents that share no token with a query are not retrieved at all; ordering them by id would give them
credit by luck.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from itertools import pairwise

import bm25s
import numpy as np
import regex

from conan_data.progress import progress
from conan_data.text.characters import UNSPACED, kinds

K1, B = 1.5, 0.75
TOKENIZATION = (
    "lower case; runs of letters, digits and marks of at least 2 characters; runs of scripts without spaces as overlapping pairs of "
    "characters (or their single one); no stop words, no stemming"
)
# It sets itself to DEBUG when it is imported, and then writes a line for every index.
logging.getLogger("bm25s").setLevel(logging.WARNING)
_RUN = regex.compile(r"[\w\p{M}]+")


def fingerprint() -> str:
    """Changes whenever the ranking would."""
    settings = {
        "method": "lucene",
        "k1": K1,
        "b": B,
        "tokenization": TOKENIZATION,
        "bm25s": bm25s.__version__,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def tokens(text: str) -> list[str]:
    """The tokens of a text, in order."""
    found: list[str] = []
    for run in _RUN.findall(text.lower()):
        unspaced = kinds()[[ord(character) for character in run]] == UNSPACED
        for part, is_unspaced in _parts(run, unspaced):
            if is_unspaced:
                found += [part[place : place + 2] for place in range(max(1, len(part) - 1))]
            elif len(part) > 1:
                found.append(part)
    return found


class BM25Ranker:
    """An index is built for every pool, since a word's weight depends on the documents around it."""

    def __init__(self, query_texts: Sequence[str], document_texts: Sequence[str]) -> None:
        self.fingerprint = fingerprint()
        self._queries = [tokens(text) for text in query_texts]
        self._documents = [tokens(text) for text in progress(document_texts, "tokenizing", unit="text")]

    def rank(self, queries: np.ndarray, documents: np.ndarray, *, depth: int) -> list[np.ndarray]:
        """See `ranking.Ranker`."""
        ids: dict[str, int] = {}
        corpus = [[ids.setdefault(token, len(ids)) for token in self._documents[row]] for row in documents]
        if not ids:
            return [documents[:0] for _ in queries]
        index = bm25s.BM25(method="lucene", k1=K1, b=B)
        index.index((corpus, ids), create_empty_token=False, show_progress=False)
        return [
            documents[_best(index, [ids[token] for token in self._queries[row] if token in ids], depth)]
            for row in queries
        ]


def _best(index: bm25s.BM25, query: list[int], depth: int) -> np.ndarray:
    """Places of the `depth` best documents with a score above 0; equal scores in the order of the documents."""
    if not query:
        return np.zeros(0, dtype=np.int64)
    scores = index.get_scores_from_ids(query)
    return np.argsort(-scores, kind="stable")[: min(depth, int(np.count_nonzero(scores > 0)))]


def _parts(run: str, flags: np.ndarray) -> Iterator[tuple[str, bool]]:
    """`run` cut where `flags` changes."""
    edges = [0, *(np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist(), len(run)]
    for start, end in pairwise(edges):
        yield run[start:end], bool(flags[start])
