"""Translation by a model behind an endpoint; see `conan_data.chat.client` for what it does about faults."""

import logging
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Any

from conan_data.chat.account import cost, guess_tokens
from conan_data.chat.client import Answer, ChatClient, Question
from conan_data.errors import UserError
from conan_data.xlr.translators import Failure, Request, Task, Translation
from conan_data.xlr.translators.prompts import Prompts
from conan_data.xlr.translators_config import EndpointConfig

log = logging.getLogger(__name__)
_TOKENS_OUT = 2
"""Tokens of a translation for each one of its source, on the safe side."""


class EndpointTranslator:
    """Translates by an endpoint."""

    broken = ()

    def __init__(self, config: EndpointConfig, task: Task) -> None:
        """Raises `UserError` when the key's environment variable is not set, or the address is none."""
        self.name = f"the model {config.model}"
        self.retries = config.retry
        self._config = config
        self._prompts = Prompts(config, task.languages)
        self._client = ChatClient(config, task.answers)

    def available(self, query_id: str) -> None:
        return None

    def prepare(self, requests: Iterable[Request]) -> None:
        """Say what is to be asked and what it may cost; raise `UserError` where that is over the limit, or where no
        server answers.
        """
        config = self._config
        found = self._client.estimate(map(self._question, requests))
        price = cost(config, found.tokens_in, found.tokens_out)
        tokens = f"about {found.tokens_in:,} tokens in and {found.tokens_out:,} out"
        expected = f"{found.num_requests:,} requests, {tokens}" + (
            f", {price:.2f} to pay" if config.has_prices else ""
        )
        log.info("%s: %s", config.model, expected)
        if config.max_cost is not None and price > config.max_cost:
            raise UserError(
                f"endpoint.max_cost: is {config.max_cost:g}, and the run needs {expected}; raise the limit to start it"
            )
        if found.num_requests:
            self._client.check_server()

    def translate(self, requests: Iterable[Request]) -> Generator[Translation | Failure]:
        """One answer a request, in their order; raises `UserError` where going on makes no sense, keeping
        what was answered.
        """
        with closing(self._client.ask(map(self._question, requests))) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, Answer):
                    yield Translation(outcome.text, self._config.model)
                else:
                    yield Failure(outcome.reason)

    def used(self) -> dict[str, Any]:
        return self._client.account.used()

    def spent(self) -> dict[str, Any]:
        return self._client.account.spent()

    def _question(self, request: Request) -> Question:
        name = f"query {request.query_id!r} in {request.language!r}"
        return Question(self._prompts.messages(request), name, _TOKENS_OUT * guess_tokens(request.text))
