"""Phrases and number words of many languages, from the YAML files beside this one."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def remarks() -> list[str]:
    """Return phrases around a translation."""
    return _phrases("remarks")


@cache
def refusals() -> list[str]:
    """Return phrases of models that refuse to translate."""
    return _phrases("refusals")


@cache
def number_words() -> Mapping[str, Mapping[str, str]]:
    """Return patterns of words for numbers, by language (as `read_label` gives it) and number (in digits)."""
    lists = _read("number_words.yaml")
    found = {
        **{language: _numbered(words, r"\b(?:{})\b") for language, words in lists["spaced"].items()},
        **{language: _numbered(words, "(?:{})") for language, words in lists["unspaced"].items()},
    }
    for language, words in lists["more"].items():
        found[language].update({number: _pattern(forms, r"\b(?:{})\b") for number, forms in words.items()})
    return found


def _phrases(kind: str) -> list[str]:
    return sorted({phrase for phrases in _read("phrases.yaml")[kind].values() for phrase in phrases})


def _numbered(words: list[str], frame: str) -> dict[str, str]:
    return {str(number): _pattern(forms, frame) for number, forms in enumerate(words)}


def _pattern(forms: str, frame: str) -> str:
    return frame.format("|".join(forms.split(" ")))


def _read(name: str) -> Any:
    return yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
