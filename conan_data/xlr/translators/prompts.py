"""What a language model is asked: the prompt, with the terms of a glossary that stand in the text, after examples."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import regex

from conan_data.chat.client import Message
from conan_data.errors import UserError
from conan_data.readers import Broken, read_rows
from conan_data.xlr.languages import english_name, match
from conan_data.xlr.translators import Request
from conan_data.xlr.translators_config import PromptConfig

_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")


class Prompts:
    """Makes the conversations of a config for the languages of a mix."""

    def __init__(self, config: PromptConfig, languages: Sequence[str]) -> None:
        """Raises `UserError` for a glossary or examples that cannot be read."""
        self._config = config
        rows = _read(config.glossary, "glossary", ("term", "lang", "translation"), languages)
        self._glossary = {language: _Glossary(terms) for language, terms in rows.items()}
        examples = _read(config.examples, "examples", ("text", "lang", "translation"), languages)
        self._examples = {
            language: tuple(
                message
                for text, translation in pairs
                for message in (
                    ("user", config.prompt.format(language=english_name(language), text=text)),
                    ("assistant", translation),
                )
            )
            for language, pairs in examples.items()
        }

    def messages(self, request: Request) -> tuple[Message, ...]:
        """Return the conversation that a model goes on with."""
        language, config = request.language, self._config
        values = {"language": english_name(language), "text": request.text}
        if request.refused:
            prompt = config.retry_prompt.format(**values, reason=request.refused.replace("-", " "))
        else:
            prompt = config.prompt.format(**values)
        glossary = self._glossary.get(language)
        terms = glossary.lines(request.text) if glossary else []
        if terms:
            prompt = "\n".join(["Use these translations:", *terms, "", prompt])
        return (*self._examples.get(language, ()), ("user", prompt))


class _Glossary:
    """The terms of one language."""

    def __init__(self, terms: Iterable[tuple[str, str]]) -> None:
        self._translations = {_folded(term): (term, translation) for term, translation in terms}
        unspaced = [term for term in self._translations if _UNSPACED.search(term)]
        spaced = [term for term in self._translations if not _UNSPACED.search(term)]
        self._patterns = [
            regex.compile(form, regex.IGNORECASE, terms=found)
            for form, found in ((r"(?<!\w)\L<terms>(?!\w)", spaced), (r"\L<terms>", unspaced))
            if found
        ]

    def lines(self, text: str) -> list[str]:
        """Return `term = translation` of the terms that stand in a text, in their order, each once."""
        folded = _folded(text)
        found = [
            (match.start(), match.group())
            for pattern in self._patterns
            for match in pattern.finditer(folded, overlapped=True)
        ]
        return list(dict.fromkeys(" = ".join(self._translations[term]) for _, term in sorted(found)))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _read(
    path: str, field: str, names: tuple[str, str, str], languages: Sequence[str]
) -> Mapping[str, list[tuple[str, str]]]:
    """The pairs of a file by the language of the mix. Every row must be right: a prompt without a term that somebody
    wrote down would be noticed by nobody.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for place, row in enumerate(read_rows(path) if path else (), 1):
        values: Mapping[str, Any] = {} if isinstance(row, Broken) else row.values
        for name in names:
            if not isinstance(values.get(name), str) or not values[name].strip():
                raise UserError(
                    f"{field}: {path}: row {place} has no text {name!r}; needed are {', '.join(names)}"
                )
        language = match(values[names[1]], languages)
        if language is not None:
            found.setdefault(language, []).append((values[names[0]].strip(), values[names[2]].strip()))
    return found
