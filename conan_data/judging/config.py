"""Who judges whether a document answers a query."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Lt

from conan_data.chat.config import ServerConfig, placeholders
from conan_data.config import Config, execution, require
from conan_data.fields import Count
from conan_data.inputs import OptionalModelPath

PROMPT = (
    "Does the document answer the search query, or hold what someone who types it looks for? It may be in another "
    "language. Answer with one word, yes or no.\n\nQuery: {query}\n\nDocument: {document}"
)


@dataclass(frozen=True, kw_only=True)
class JudgeServerConfig(ServerConfig):
    """The server of a judge, and how it is asked."""

    prompt: Annotated[str, placeholders("query", "document")] = PROMPT
    """What is asked; {query} and {document} are filled in. The answer must begin with yes or no."""


@dataclass(frozen=True, kw_only=True)
class JudgeConfig(Config):
    """A model that reads a query and a document together; none by default."""

    kind: Literal["none", "cross-encoder", "endpoint"] = "none"
    """A cross-encoder of sentence-transformers, or a language model behind an OpenAI-compatible endpoint."""
    model: OptionalModelPath = ""
    """Cross-encoder: a folder, or a Hub id with an optional @revision."""
    positive_over: Annotated[float, Ge(0), Lt(1)] = 0.5
    """A document whose probability is over this is an answer."""
    max_length: Count | None = None
    """Tokens of a pair that the cross-encoder reads; None for its own limit."""
    batch_size: Count = execution(32)
    """Pairs in one forward pass of the cross-encoder."""
    endpoint: JudgeServerConfig = field(default_factory=JudgeServerConfig)
    """The server of an endpoint."""

    def check(self) -> None:
        super().check()
        if self.kind == "cross-encoder":
            require(bool(self.model), "model", self.model, "is needed for a cross-encoder")
        if self.kind == "endpoint":
            for name in ("base_url", "model"):
                value = getattr(self.endpoint, name)
                require(bool(value), f"endpoint.{name}", value, "is needed for an endpoint")
