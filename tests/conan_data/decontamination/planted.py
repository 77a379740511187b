"""Evaluation texts, and leaks of them as they are met, from a seed."""

import random
import unicodedata
from collections.abc import Iterator

SYLLABLES = [first + second for first in "bcdfghklmnprstvw" for second in "aeiouá"]
KINDS = {
    "exact": ("case", "space", "decomposed", "full width"),
    "near": ("typo", "dropped", "added", "swapped", "punctuation"),
    "ngram": ("inside a page", "most of it"),
}


def word(draw: random.Random) -> str:
    return "".join(draw.choices(SYLLABLES, k=draw.randint(1, 4)))


def text(draw: random.Random, *, low: int = 8, high: int = 14) -> str:
    """A text of some random words; two of them share none but by chance."""
    return " ".join(word(draw) for _ in range(draw.randint(low, high)))


def leaks(source: str, draw: random.Random) -> Iterator[tuple[str, str]]:
    """Yield (kind, text): the text `source` as it stands in training data that hold it."""
    words = source.split()
    place = draw.randrange(1, len(words) - 2)
    yield "case", source.upper()
    yield "space", "  " + source.replace(" ", " \n ") + "\t"
    yield "decomposed", unicodedata.normalize("NFD", source)
    yield (
        "full width",
        "".join(
            chr(ord(letter) + 0xFEE0) if letter.isascii() and letter.isalpha() else letter
            for letter in source
        ),
    )
    typo = words[place][:-1] + "x"
    yield "typo", " ".join([*words[:place], typo, *words[place + 1 :]])
    yield "dropped", " ".join(words[:place] + words[place + 1 :])
    yield "added", "well " + source
    yield "swapped", " ".join([*words[:place], words[place + 1], words[place], *words[place + 2 :]])
    yield "punctuation", source.replace(" ", ", ", 2) + "?!"
    if len(words) >= 26:
        yield "inside a page", f"{text(draw, low=40, high=60)} {source} {text(draw, low=40, high=60)}"
        yield (
            "most of it",
            " ".join(words[: 12 + -(-(len(words) - 12) * 6 // 10)]) + " " + text(draw, low=20, high=30),
        )
