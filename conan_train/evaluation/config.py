"""What an evaluation is told: the model, the set, which pools of candidates, and how its intervals are drawn."""

import dataclasses
from typing import Literal

from conan_data.config import StageConfig, execution, require

BM25 = "bm25"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig(StageConfig):
    """Score a model's retrieval for every pair of query and document language, and in one pool of all
    languages.
    """

    model: str
    """Embedder or language-model artifact, sentence-transformers folder or Hub id (with an optional
    @revision), or `bm25`.
    """
    data: str
    """Retrieval set (a directory), or `sample`."""
    split: str = "dev"
    """Split of the set that is scored."""
    group_regex: str = ""
    """Its first bracketed part, searched in a document's id, is the group of documents that carry none."""
    translations: bool = True
    """Also ask the queries in other languages that lie beside the set (`translations.SPLIT.jsonl`)."""
    pools: Literal["all", "pairs", "mixed"] = "all"
    """Candidates: `pairs` one pool a pair of languages, `mixed` one pool of all documents, `all` both."""
    min_queries: int = 20
    """Pairs of languages with fewer queries are left out, and listed."""
    max_length: int | None = None
    """Tokens of a text that the model reads; None for the model's own limit."""
    query_prompt: str | None = None
    """Text put before every query; None for the model's own prompt."""
    document_prompt: str | None = None
    """Text put before every document; None for the model's own prompt."""
    batch_tokens: int = 16384
    """Tokens of one forward pass, padding included (another value changes the last bits of the vectors)."""
    bootstrap: int = 1000
    """Resamples behind the 95% intervals; 0: no intervals."""
    seed: int = 1
    """Seed of the resamples."""
    device: str = execution("auto")
    """Where to encode and search: auto, cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        require(bool(self.model), "model", self.model, "name a model, or bm25")
        require(self.pools in ("all", "pairs", "mixed"), "pools", self.pools, "must be all, pairs or mixed")
        require(self.min_queries >= 1, "min_queries", self.min_queries, "must be at least 1")
        require(
            self.max_length is None or self.max_length >= 1,
            "max_length",
            self.max_length,
            "must be at least 1",
        )
        require(self.batch_tokens >= 1, "batch_tokens", self.batch_tokens, "must be at least 1")
        require(self.bootstrap >= 0, "bootstrap", self.bootstrap, "must not be negative")
        require(self.seed >= 0, "seed", self.seed, "must not be negative")
        if self.model == BM25:
            for field in ("max_length", "query_prompt", "document_prompt"):
                require(
                    getattr(self, field) is None, field, getattr(self, field), "bm25 has none; leave it out"
                )
