"""Parts of a query that no translator may touch are masked before translation and put back after it.

Translators change code: of 134 command descriptions with inline code Apertium changed the code of 46 (`cargo init`
became `mercaderia init`). So inline code, addresses, placeholders and quoted names are replaced by marks such as
`XQ0Z`, which translators take for names, and put back where each mark is in the answer exactly once. Where one is lost
or doubled, the query is asked for once more as it is, and the checks decide about the answer.
"""

import re
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from itertools import islice

from conan_data.xlr.checks.kept import CODE, PLACEHOLDER, QUOTED, URL, is_name
from conan_data.xlr.translators import Failure, Request, Translation, Translator

_KEPT = re.compile("|".join(f"(?:{pattern.pattern})" for pattern in (CODE, URL, PLACEHOLDER, QUOTED)))
_MARK = re.compile(r"XQ(\d+)Z", re.IGNORECASE)
_WINDOW = 4096
"""Requests after which those whose marks were lost are asked for again."""


class MaskedTranslator:
    """Translates by another translator, which sees marks for what must be kept."""

    def __init__(self, translator: Translator) -> None:
        self.name, self.retries, self.broken = translator.name, translator.retries, translator.broken
        self.used, self.spent = translator.used, translator.spent
        self._translator = translator

    def available(self, query_id: str) -> frozenset[str] | None:
        return self._translator.available(query_id)

    def prepare(self, requests: Iterable[Request]) -> None:
        self._translator.prepare(replace(request, text=mask(request.text)[0]) for request in requests)

    def translate(self, requests: Iterable[Request]) -> Generator[Translation | Failure]:
        """One answer a request, in their order; raises what the other translator raises."""
        requests = iter(requests)
        while window := list(islice(requests, _WINDOW)):
            yield from self._window(window)

    def _window(self, requests: list[Request]) -> list[Translation | Failure]:
        masked = [mask(request.text) for request in requests]
        answers = self._ask([replace(request, text=text) for request, (text, _) in zip(requests, masked)])
        lost = []
        for place, (answer, (_, kept)) in enumerate(zip(answers, masked)):
            if isinstance(answer, Translation) and kept:
                text = unmask(answer.text, kept)
                if text is None:
                    lost.append(place)
                else:
                    answers[place] = Translation(text, answer.translator)
        for place, answer in zip(lost, self._ask([requests[place] for place in lost])):
            answers[place] = answer
        return answers

    def _ask(self, requests: list[Request]) -> list[Translation | Failure]:
        if not requests:
            return []
        with closing(self._translator.translate(requests)) as answers:
            return list(answers)


def mask(text: str) -> tuple[str, list[str]]:
    """Return a text with marks for what must be kept, and what the marks stand for; a text that holds a mark as it is
    stays so.
    """
    if _MARK.search(text):
        return text, []
    kept: list[str] = []

    def marked(match: re.Match[str]) -> str:
        if match["quoted"] is not None and not is_name(match["quoted"]):
            return match[0]
        kept.append(match[0])
        return f"XQ{len(kept) - 1}Z"

    return _KEPT.sub(marked, text), kept


def unmask(text: str, kept: list[str]) -> str | None:
    """Return a text with what its marks stand for; None where it does not hold each mark exactly once."""
    if sorted(int(number) for number in _MARK.findall(text)) != list(range(len(kept))):
        return None
    return _MARK.sub(lambda match: kept[int(match[1])], text)
