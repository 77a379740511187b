"""Which documents a tokenizer is trained on: a share of every language, chosen by the documents' hashes.

A vocabulary follows its sample, and a corpus is mostly English: without balance a small language is spelled
in bytes. With exponent 1 the sample is like the corpus, with 0 all languages have the same number of
characters as far as they last.
"""

from collections.abc import Mapping

HELD_OUT = 0.01
"""Documents whose hash is below are not trained on; fertility is measured on them."""


def quotas(characters: Mapping[str, int], *, total: int, exponent: float) -> dict[str, int]:
    """Characters to take from each language: at most what it has, at most `total` together, else in
    proportion to `characters ** exponent`.

    What a small language cannot fill goes to the others in the same proportion.
    """
    taken: dict[str, int] = {}
    open_languages = sorted(
        (lang for lang in characters if characters[lang]), key=lambda lang: (characters[lang], lang)
    )
    weights = {lang: characters[lang] ** exponent for lang in open_languages}
    left, weight_left = total, sum(weights.values())
    for lang in open_languages:  # the smallest first: if it fills its part, so do the larger ones after it
        taken[lang] = min(characters[lang], int(left * weights[lang] / weight_left))
        left -= taken[lang]
        weight_left -= weights[lang]
    return taken


def chosen(place: float, share: float, *, shift: float) -> bool:
    """Whether a document with this hash belongs to a `share` of those that are not held out; `shift` in [0,
    1) chooses another share.
    """
    return (((place - HELD_OUT) / (1 - HELD_OUT)) + shift) % 1 < share
