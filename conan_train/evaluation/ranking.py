"""Who ranks: an encoder by the dot product of its vectors, or BM25. Both promise a total order: score
descending, then id ascending.

An encoder's texts are encoded once, to half-precision shards that are mapped into memory, and searched
exactly in every pool.
"""

from pathlib import Path
from typing import Protocol

import numpy as np

from conan_data.mining.embeddings import Embeddings, encode_to_shards
from conan_data.mining.encoder import CONTRACT, Encoder, Kind, load_encoder, resolve_device
from conan_data.mining.search.exact import ExactSearcher
from conan_data.models.locate import LANGUAGE_MODEL, Model
from conan_train.evaluation.config import EvaluateConfig
from conan_train.evaluation.evaluation_set import EvaluationSet
from conan_train.evaluation.vectors import unit

SEARCH_MEMORY = 1 << 30
"""Bytes of working memory of a search."""


class Ranker(Protocol):
    """Orders documents for queries."""

    fingerprint: str
    """Changes whenever the order would."""

    def rank(self, queries: np.ndarray, documents: np.ndarray, *, depth: int) -> list[np.ndarray]:
        """For each of the query rows, at most `depth` of the document rows, best first; `documents` is
        ascending.
        """
        ...


class EncoderRanker:
    """Searches the vectors of the model whose fingerprint this is."""

    def __init__(self, fingerprint: str, queries: Embeddings, documents: Embeddings, *, device: str) -> None:
        self.fingerprint = fingerprint
        self.device = device
        self._queries, self._documents = queries, documents
        self._searcher = ExactSearcher(memory=SEARCH_MEMORY, device=device)

    @classmethod
    def encode(cls, encoder: Encoder, data: EvaluationSet, work: Path, *, device: str) -> "EncoderRanker":
        """Encodes all texts below `work` at once."""
        queries = encode_to_shards(
            encoder, data.queries.texts, data.queries.ids, work / "queries", kind="query"
        )
        documents = encode_to_shards(
            encoder, data.documents.texts, data.documents.ids, work / "documents", kind="document"
        )
        return cls(encoder.fingerprint, queries, documents, device=device)

    @property
    def dimension(self) -> int:
        return self._queries.dimension

    def vectors(self, queries: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors of rows of queries and of documents, each float16 [rows, dimension]."""
        return self._queries.gather(queries), self._documents.gather(documents)

    def cut(self, dims: int) -> "EncoderRanker":
        """By the first `dims` numbers of the same vectors, scaled to length 1 again; these are held in memory."""
        queries, documents = (
            Embeddings([unit(side.gather(np.arange(len(side)))[:, :dims]).astype(np.float16)], dimension=dims)
            for side in (self._queries, self._documents)
        )
        return EncoderRanker(self.fingerprint, queries, documents, device=self.device)

    def rank(self, queries: np.ndarray, documents: np.ndarray, *, depth: int) -> list[np.ndarray]:
        """See `Ranker`."""
        everything = len(documents) == len(self._documents)
        candidates = (
            self._documents
            if everything
            else Embeddings([self._documents.gather(documents)], dimension=self._documents.dimension)
        )
        hits = self._searcher.search(self._queries.gather(queries), candidates, k=depth)
        return [documents[places] for places in hits.rows]


def open_encoder(model: Model, config: EvaluateConfig) -> Encoder:
    """Return the encoder of a model; a language model is read as it was trained: causal, and the mean of its
    states.
    """
    if model.kind == LANGUAGE_MODEL and not (model.folder / CONTRACT).is_file():
        return _language_model_encoder(model.folder, config)
    prompts: dict[Kind, str] = {}
    if config.query_prompt is not None:
        prompts["query"] = config.query_prompt
    if config.document_prompt is not None:
        prompts["document"] = config.document_prompt
    # A checkpoint's loader knows no "auto".
    device = resolve_device(config.device)
    return load_encoder(
        model,
        max_length=config.max_length,
        batch_tokens=config.batch_tokens,
        device=device,
        prompts=prompts,
    )


def _language_model_encoder(folder: Path, config: EvaluateConfig) -> Encoder:
    from conan_train.model.contract import EncodingContract
    from conan_train.model.encoder import CheckpointEncoder
    from conan_train.model.opening import open_embedder

    contract = EncodingContract(
        query_prompt=config.query_prompt or "", document_prompt=config.document_prompt or ""
    )
    embedder, tokenizer = open_embedder(folder, contract=contract)
    embedder.to(resolve_device(config.device))
    return CheckpointEncoder(
        embedder, tokenizer, max_length=config.max_length, batch_tokens=config.batch_tokens
    )
