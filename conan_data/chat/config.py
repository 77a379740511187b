"""The server that is asked, and what is done about its faults.

Where it listens, how hard it is pressed and how its faults are met is no part of a job's identity: a run that was
interrupted may go on against another address, or with more patience, and keeps every answer it has.
"""

import dataclasses
import re
import string

from conan_data.config import Config, execution, require
from conan_data.fields import Count, NonNegativeFloat, NonNegativeInt, PositiveFloat, Rule

_URL = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")


def placeholders(*names: str) -> Rule:
    """Return the rule that the fields in braces of a prompt are `names`."""
    wanted = " and ".join(f"{{{name}}}" for name in sorted(names))
    text = f"must hold {wanted} and no other field in braces"
    return Rule(text, lambda prompt: _fields_in_braces(prompt) == set(names))


def _fields_in_braces(prompt: str) -> set[str]:
    """Names in braces of a format string; a set that no prompt may have where the braces do not match."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(prompt) if name is not None}
    except ValueError:
        return {"an open brace"}


def require_base_url(base_url: str) -> None:
    """Raise `FieldError` for an address that is none, or that holds what may be a secret; empty is none yet."""
    require(
        not base_url or _URL.fullmatch(base_url) is not None,
        "base_url",
        re.split(r"[?#]", base_url.rsplit("@", 1)[-1])[0],
        "must look like http://host:8000/v1, without user, password or parameters",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerConfig(Config):
    """A server with the OpenAI-compatible call `POST BASE_URL/chat/completions`; asked at temperature 0."""

    base_url: str = execution("")
    """Address up to the version, such as http://localhost:8000/v1."""
    model: str = ""
    """Name of the model as the server knows it."""
    revision: str = ""
    """Version of the model that the server runs, in your words; answers are kept by it, so another one asks anew."""
    api_key_env: str = execution("")
    """NAME of the environment variable that holds the key; empty: no key is sent."""
    max_tokens: Count = 512
    """Longest answer in tokens; a longer one is cut off, and dropped."""
    concurrency: Count = execution(8)
    """Requests in flight at once."""
    timeout: PositiveFloat = execution(60.0)
    """Seconds until a request without a whole answer counts as unanswered."""
    max_retries: NonNegativeInt = execution(6)
    """How often a request is sent again after a time-out, 429, 5xx or an unreadable answer."""
    backoff: NonNegativeFloat = execution(1.0)
    """Seconds before the first retry; they double with each one, up to 60, and never undercut what the server
    asks for.
    """
    max_failures: NonNegativeInt = execution(0)
    """Requests that may stay without a usable answer, and are dropped, before the run stops (it can be
    continued).
    """
    price_in: NonNegativeFloat = execution(0.0)
    """Price of a million tokens of a request, in any currency; the estimate and the account are in it."""
    price_out: NonNegativeFloat = execution(0.0)
    """Price of a million tokens of an answer."""
    max_cost: NonNegativeFloat | None = execution(None)
    """Most that a run may cost: it does not start where the estimate is more (0 shows only that), and stops when it has
    cost more.
    """

    @property
    def has_prices(self) -> bool:
        return self.price_in > 0 or self.price_out > 0

    def check(self) -> None:
        super().check()
        require_base_url(self.base_url)
        require(
            self.max_cost is None or self.has_prices, "max_cost", self.max_cost, "needs price_in or price_out"
        )
