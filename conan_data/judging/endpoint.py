"""A language model behind an endpoint as a judge: it is asked for one word."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from conan_data.chat.answers import Answers
from conan_data.chat.client import Answer, ChatClient, Question
from conan_data.judging.config import JudgeServerConfig
from conan_data.judging.judge import Pair

_WORD = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_THOUGHT = "<think>", "</think>"


class EndpointJudge:
    """Asks an endpoint; see `conan_data.chat.client` for what it does about faults."""

    def __init__(self, config: JudgeServerConfig, judgements: Path) -> None:
        """Raises `UserError` when the key's environment variable is not set, or the address is none."""
        self.name = f"the model {config.model}"
        self._config = config
        self._client = ChatClient(config, Answers(judgements))

    def judge(self, pairs: Sequence[Pair]) -> np.ndarray:
        """1 for yes, 0 for no, NaN for every other answer and for none; raises `UserError` where going on makes
        no sense.
        """
        answers = self._client.ask(map(self._question, pairs))
        return np.array(
            [read_verdict(answer.text) if isinstance(answer, Answer) else np.nan for answer in answers],
            np.float32,
        )

    def _question(self, pair: Pair) -> Question:
        prompt = self._config.prompt.format(query=pair.query, document=pair.document)
        return Question((("user", prompt),), pair.name)


def read_verdict(answer: str) -> float:
    """1 for an answer that begins with yes, 0 for no, NaN for another; what a model thought aloud is skipped."""
    opening, closing = _THOUGHT
    answer = answer.lstrip()
    while answer.startswith(opening):
        # Without an end it is all thought.
        answer = answer.partition(closing)[2].lstrip()
    found = _WORD.match(answer)
    return float("nan") if found is None else float(found[1].lower() == "yes")
