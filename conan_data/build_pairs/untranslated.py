"""Find texts that are still in the language that they were to be translated from.

A text is refused only where the language identifier, asked to choose between the two languages, is sure of the other
one, and where enough prose is left without code and markup: short technical texts are mostly names. Where the
source text is at hand, lines of it that stand in the translation word for word tell, too.
"""

import logging
import re
from collections.abc import Sequence
from functools import cache

from conan_data.errors import UserError
from conan_data.language.guess import Identifier
from conan_data.language.identify import PROSE_BYTES, SAMPLE_LENGTH, load_identifier
from conan_data.language.labels import read_label
from conan_data.language.markup import strip_code
from conan_data.language.plain import composed

log = logging.getLogger(__name__)
SURE = 0.95
"""Probability of the other language, in a choice of two."""
MIN_PROSE = 20
"""Characters of prose from which a text is looked at, and of a line that is compared."""
_MARKS = re.compile(r"[(){}\[\]<>=_;#$%&*+/\\|^~@`\d]")
_MAX_MARKS = 0.08
"""Share of such characters in a line from which it is code, which is the same in all languages."""
_MANY_WORDS = 15
"""Spaces from which a line is prose, though it may name many files and numbers."""


def are_in(rival: str, texts: Sequence[str], *, language: str) -> list[bool]:
    """Return whether each text, which is said to be in `language`, is in the language `rival` instead."""
    own, other = read_label(language), read_label(rival)
    identifier = _identifier(own, other) if own != other else None
    if identifier is None:
        return [False] * len(texts)
    return [_is_in(other, text, identifier) for text in texts]


def copied_share(text: str, source: str) -> float:
    """Return the share of a text's prose, by bytes, whose longer lines stand in its source word for word."""
    there = {line.strip() for line in source.split("\n") if len(line) >= MIN_PROSE}
    sizes = [(len(line.encode()), line in there) for line in _prose_lines(text)]
    return sum(size for size, is_there in sizes if is_there) / max(1, sum(size for size, _ in sizes))


def _is_in(language: str, text: str, identifier: Identifier) -> bool:
    prose = strip_code("\n".join(_prose_lines(composed(text, SAMPLE_LENGTH))), PROSE_BYTES)
    if len(prose) < MIN_PROSE:
        return False
    guess = identifier.guess(prose)
    return guess.lang == language and guess.score >= SURE


def _prose_lines(text: str) -> list[str]:
    """The lines that are no code, without white space at their ends."""
    lines = map(str.strip, text.split("\n"))
    return [
        line
        for line in lines
        if len(_MARKS.findall(line)) <= _MAX_MARKS * len(line) or line.count(" ") >= _MANY_WORDS
    ]


@cache
def _identifier(language: str, rival: str) -> Identifier | None:
    """An identifier of these two languages; None, which is said once, where it does not know one of them."""
    try:
        return load_identifier("langid", (language, rival))
    except UserError:
        if language != "und":
            log.warning(
                "texts in %r are not checked for being in %r: the identifier does not know one of them",
                language,
                rival,
            )
        return None
