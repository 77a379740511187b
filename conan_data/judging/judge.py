"""Judges read a query and a document together and say whether the one answers the other.

A vector cannot tell an unlabelled answer from a document that is merely near; that is what a false negative is. A
model that reads both texts often can, at thousands of times the price, so it is asked about few pairs, and never
about one twice: judgements are kept on disk as they come, keyed by everything that decides them. A judge that
fails gives no number, and what is made of that is counted by whoever asked; it is never an answer and never none.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from conan_data.judging.config import JudgeConfig
from conan_data.mining.arrays import document_texts
from conan_data.mining.selection.select import Verdicts
from conan_data.models.locate import model_input
from conan_data.retrieval import RetrievalSplit


class Pair(NamedTuple):
    """What is judged; `name` says in messages which pair it is."""

    query: str
    document: str
    name: str


class Judge(Protocol):
    """Judges pairs of texts."""

    name: str

    def judge(self, pairs: Sequence[Pair]) -> np.ndarray:
        """float32 [len(pairs)]: the probability that the document is an answer, NaN where there is no verdict."""
        ...


def open_judge(config: JudgeConfig, judgements: Path, *, device: str = "auto") -> Judge | None:
    """The judge of a config, None for none; it remembers its judgements in the file `judgements`."""
    if config.kind == "cross-encoder":
        from conan_data.judging.cross_encoder import CrossEncoderJudge

        return CrossEncoderJudge(config, judgements, device=device)
    if config.kind == "endpoint":
        from conan_data.judging.endpoint import EndpointJudge

        return EndpointJudge(config.endpoint, judgements)
    return None


def judge_inputs(config: JudgeConfig) -> list[str]:
    """What a manifest names of a judge."""
    if config.kind != "cross-encoder":
        return []
    return [str(model_input(config.model, field="judge.model"))]


def verdicts_of(judge: Judge, data: RetrievalSplit, *, positive_over: float) -> Verdicts:
    """The judge as selection asks it, by the rows of `data`."""

    def verdicts(queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
        found = judge.judge(pairs_of(data, queries, documents))
        return np.where(np.isnan(found), -1, found > positive_over).astype(np.int8)

    return verdicts


def pairs_of(data: RetrievalSplit, queries: np.ndarray, documents: np.ndarray) -> list[Pair]:
    """The texts of n (query, document) rows."""
    asked = data.queries.take(pa.array(queries))
    found = data.corpus.take(pa.array(documents))
    names = zip(asked.column("_id").to_pylist(), found.column("_id").to_pylist(), strict=True)
    return [
        Pair(query, document, f"query {query_id!r} with document {document_id!r}")
        for query, document, (query_id, document_id) in zip(
            asked.column("text").to_pylist(), document_texts(found), names, strict=True
        )
    ]
