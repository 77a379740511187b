"""Configuration of a server that embeds texts."""

from dataclasses import dataclass

from conan_data.chat.config import require_base_url
from conan_data.config import Config, execution
from conan_data.fields import Count, NonNegativeFloat, NonNegativeInt, PositiveFloat


@dataclass(frozen=True, kw_only=True)
class EmbeddingServerConfig(Config):
    """A server with the OpenAI-compatible call `POST BASE_URL/embeddings`."""

    base_url: str = execution("")
    """Address up to the version, such as http://localhost:8000/v1."""
    model: str = ""
    """Name of the model as the server knows it."""
    api_key_env: str = execution("")
    """NAME of the environment variable that holds the key; empty: no key is sent."""
    batch_size: Count = execution(64)
    """Texts of one request."""
    concurrency: Count = execution(8)
    """Requests in flight at once."""
    timeout: PositiveFloat = execution(60.0)
    """Seconds until a request without a whole answer counts as unanswered."""
    max_retries: NonNegativeInt = execution(6)
    """How often a request is sent again after a time-out, 429, 5xx or an unreadable answer."""
    backoff: NonNegativeFloat = execution(1.0)
    """Seconds before the first retry; they double with each one, up to 60."""

    def check(self) -> None:
        super().check()
        require_base_url(self.base_url)
