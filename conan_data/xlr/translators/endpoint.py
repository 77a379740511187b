"""Translation by a model behind an endpoint; see `conan_data.chat.client` for what it does about faults."""

from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path

from conan_data.chat.answers import Answers
from conan_data.chat.client import Answer, ChatClient, Question
from conan_data.xlr.config import EndpointConfig
from conan_data.xlr.languages import english_name
from conan_data.xlr.translators import Failure, Request, Translation


class EndpointTranslator:
    """Translates by an endpoint, whose answers are kept in the file `answers`."""

    def __init__(self, config: EndpointConfig, answers: Path) -> None:
        """Raises `UserError` when the key's environment variable is not set, or the address is none."""
        self.name = f"the model {config.model}"
        self._config = config
        self._client = ChatClient(config, Answers(answers))

    def available(self, query_id: str) -> None:
        return None

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

    def _question(self, request: Request) -> Question:
        config = self._config
        prompt = config.prompt.format(language=english_name(request.language), text=request.text)
        return Question((("user", prompt),), f"query {request.query_id!r} in {request.language!r}")
