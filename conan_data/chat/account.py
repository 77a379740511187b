"""What questions cost: a guess before they are asked, and the server's own count afterwards."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from conan_data.chat.answers import Known
from conan_data.chat.config import ServerConfig

_BYTES_A_TOKEN = 4
_TOKENS_A_MESSAGE = 4
"""What the template of a conversation adds."""


def guess_tokens(text: str) -> int:
    """The tokens of a text, from its bytes in UTF-8; right within a factor of two for the vocabularies of today."""
    return math.ceil(len(text.encode()) / _BYTES_A_TOKEN)


@dataclass
class Estimate:
    """Requests that are still to be sent, with a guess of their tokens."""

    num_requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def add(self, texts: Iterable[str], answer_tokens: int) -> None:
        self.num_requests += 1
        self.tokens_in += sum(guess_tokens(text) + _TOKENS_A_MESSAGE for text in texts)
        self.tokens_out += answer_tokens


@dataclass
class Account:
    """What a run asked a server for and what it was given, failed requests included."""

    config: ServerConfig
    num_sent: int = 0
    num_retries: int = 0
    paid_in: int = 0
    paid_out: int = 0
    _used: set[int] = field(default_factory=set)
    _used_in: int = 0
    _used_out: int = 0
    _num_uncounted: int = 0
    _start: float = field(default_factory=time.monotonic)

    def pay(self, known: Known) -> None:
        """Count an answer that came in."""
        self.paid_in += known.tokens_in or 0
        self.paid_out += known.tokens_out or 0

    def use(self, key: str, known: Known) -> None:
        """Count an answer that is made use of, whether it came in or was kept from before; each key once."""
        digest = int(key[:16], 16)
        if digest not in self._used:
            self._used.add(digest)
            self._used_in += known.tokens_in or 0
            self._used_out += known.tokens_out or 0
            self._num_uncounted += known.tokens_in is None

    @property
    def cost(self) -> float:
        return cost(self.config, self.paid_in, self.paid_out)

    def used(self) -> dict[str, int]:
        """Return what the answers that were used cost, the same for every run of a job: requests and tokens by the
        server's count.
        """
        counts = {"requests": len(self._used), "tokens_in": self._used_in, "tokens_out": self._used_out}
        return {**counts, **({"requests_without_usage": self._num_uncounted} if self._num_uncounted else {})}

    def spent(self) -> dict[str, Any]:
        """Return what this run took: requests, retries, tokens, money where there are prices, and seconds."""
        counts = {"sent": self.num_sent, "retries": self.num_retries}
        tokens = {"tokens_in": self.paid_in, "tokens_out": self.paid_out}
        money = {"cost": round(self.cost, 6)} if self.config.has_prices else {}
        return {**counts, **tokens, **money, "seconds": round(time.monotonic() - self._start, 3)}


def cost(config: ServerConfig, tokens_in: int, tokens_out: int) -> float:
    """The price of tokens, in the currency of the prices."""
    return (tokens_in * config.price_in + tokens_out * config.price_out) / 1e6
