"""Who judges whether a document answers a query."""

from dataclasses import dataclass, field
from typing import Literal

from conan_data.config import execution, require, source
from conan_data.xlr.config import ServerConfig, require_placeholders

PROMPT = (
    "Does the document answer the search query, or hold what someone who types it looks for? It may be in another "
    "language. Answer with one word, yes or no.\n\nQuery: {query}\n\nDocument: {document}"
)


@dataclass(frozen=True, kw_only=True)
class JudgeServerConfig(ServerConfig):
    """The server of a judge, and how it is asked."""

    prompt: str = PROMPT
    """What is asked; {query} and {document} are filled in. The answer must begin with yes or no."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_placeholders(self.prompt, {"query", "document"})


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """A model that reads a query and a document together; none by default."""

    kind: Literal["none", "cross-encoder", "endpoint"] = "none"
    """A cross-encoder of sentence-transformers, or a language model behind an OpenAI-compatible endpoint."""
    model: str = source("")
    """Cross-encoder: a folder, or a Hub id with an optional @revision."""
    positive_over: float = 0.5
    """A document whose probability is over this is an answer."""
    max_length: int | None = None
    """Tokens of a pair that the cross-encoder reads; None for its own limit."""
    batch_size: int = execution(32)
    """Pairs in one forward pass of the cross-encoder."""
    endpoint: JudgeServerConfig = field(default_factory=JudgeServerConfig)
    """The server of an endpoint."""

    def __post_init__(self) -> None:
        kinds = ("none", "cross-encoder", "endpoint")
        require(self.kind in kinds, "judge.kind", self.kind, f"must be one of {', '.join(kinds)}")
        require(
            0 <= self.positive_over < 1, "judge.positive_over", self.positive_over, "must be 0 to below 1"
        )
        require(self.batch_size >= 1, "judge.batch_size", self.batch_size, "must be at least 1")
        if self.kind == "cross-encoder":
            require(bool(self.model), "judge.model", self.model, "is needed for a cross-encoder")
        if self.kind == "endpoint":
            for name in ("base_url", "model"):
                value = getattr(self.endpoint, name)
                require(bool(value), f"judge.endpoint.{name}", value, "is needed for an endpoint")
