"""A model that trains, as a formula: the whole space turns, every text drifts a little on its own.

`document i` at step t is the unit vector of R_t x_i + wobble * t * y_i, with a rotation R_t that is the same for all;
`query i` is never far from it.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from conan_data.pairs.pair_set import PairSet, from_retrieval
from conan_data.retrieval import RetrievalSplit

DIMENSION = 16


@dataclasses.dataclass
class WorldEncoder:
    """The weights after `step` steps; `asked` is what was encoded, in texts."""

    step: int
    wobble: float = 0.0
    asked: list[str] = dataclasses.field(default_factory=list)
    dimension: int = DIMENSION

    @property
    def fingerprint(self) -> str:
        return f"world at {self.step}, {self.wobble}"

    def encode(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> np.ndarray:
        self.asked += texts
        turned_ND = np.stack([_draw(text, 0) for text in texts]) @ rotation(self.step)
        own_ND = np.stack([_draw(text, self.step) for text in texts])
        moved_ND = turned_ND + self.wobble * self.step * own_ND
        return (moved_ND / np.linalg.norm(moved_ND, axis=1, keepdims=True)).astype(np.float32)


def rotation(step: int) -> np.ndarray:
    """The same part of the way for every step, but far: after a hundred nothing is where it was."""
    skew = np.random.default_rng(3).standard_normal((DIMENSION, DIMENSION)) * step / 100
    values, vectors = np.linalg.eigh(1j * (skew - skew.T))
    return ((vectors * np.exp(-1j * values)) @ vectors.conj().T).real


def _draw(text: str, step: int) -> np.ndarray:
    if text.startswith("query"):
        near = _draw(text.replace("query", "document"), step) + 0.5 * _draw(text.upper(), step)
        return near / np.linalg.norm(near)
    seed = int.from_bytes(hashlib.blake2b(f"{text} {step}".encode(), digest_size=8).digest())
    vector = np.random.default_rng(seed).standard_normal(DIMENSION)
    return vector / np.linalg.norm(vector)


def make_pairs(*, num_queries: int = 60, num_documents: int = 600) -> PairSet:
    """Document q answers query q; every tenth pair of documents is a group."""
    groups = [f"group {i // 2}" if i % 20 < 2 else "" for i in range(num_documents)]
    corpus = pa.table(
        {
            "_id": [f"d{i}" for i in range(num_documents)],
            "title": pa.nulls(num_documents, pa.string()),
            "text": [f"document {i}" for i in range(num_documents)],
            "lang": ["en"] * num_documents,
            "group": groups,
        }
    )
    queries = pa.table(
        {
            "_id": [f"q{i}" for i in range(num_queries)],
            "text": [f"query {i}" for i in range(num_queries)],
            "lang": ["en"] * num_queries,
            "source_id": [f"q{i}" for i in range(num_queries)],
        }
    )
    qrels = pa.table(
        {
            "query-id": [f"q{i}" for i in range(num_queries)],
            "corpus-id": [f"d{i}" for i in range(num_queries)],
            "score": np.ones(num_queries, np.int32),
        }
    )
    split = RetrievalSplit(
        corpus=corpus, queries=queries, qrels=qrels, translations=pa.table({}), num_query_rows=num_queries
    )
    return from_retrieval(split, "world")
