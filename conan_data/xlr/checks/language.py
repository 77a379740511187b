"""Translations that are in another language than asked for.

Language identification errs often on short technical texts, where most words are names, and a rule that asks
it for proof would throw away good translations in bulk. So the burden of proof lies the other way: a
translation is refused only where another language wins a choice of two against the one asked for, with
probability `max_rival`. The rivals are the source language, and the language that the identifier would choose
from all it knows. Between close relatives (Indonesian and Malay, Portuguese and Galician) such a choice is
seldom sure, so no list of relatives is needed.

Measured on 13,415 human translations of one-line command descriptions in 37 languages, with max_rival 0.95:
16 are refused (0.12%), most of them not translated at all; English sources offered as translations are
refused by 97%, translations into a third language by 99%. The unrestricted guess alone, believed from 0.5 on,
refuses 105, nearly all of them good (half of them Indonesian taken for Malay).
"""

import logging
from functools import cache
from typing import NamedTuple

import numpy as np
import polars as pl

from conan_data.language.choice import choose, known_languages
from conan_data.language.guess import NO_LANGUAGE
from conan_data.language.labels import read_label
from conan_data.xlr.checks.check import Found

log = logging.getLogger(__name__)
NAME = "language"


class Identified(NamedTuple):
    """What the identifier says of N translations."""

    found: Found
    guesses: pl.Series
    """The most probable language of all; null where the text says nothing, or the language asked for is not known."""
    scores: pl.Series
    """Its probability."""


def identify(frame: pl.DataFrame) -> Identified:
    """Return which translations are in the source's language or in another one, and the guesses."""
    labels = {name: read_label(name) for name in frame["language"].unique()}
    origins = {name: read_label(name) for name in frame["source_language"].unique()}
    known = known_languages()
    for label in sorted({*labels.values()} - known):
        _warn(label)
    wanted = frame["language"].replace_strict(labels, return_dtype=pl.String)
    sources = frame["source_language"].replace_strict(origins, return_dtype=pl.String)
    choices = choose(frame["text"], wanted, sources)
    said = choices.open_score_N > 0
    is_other = said & (choices.open_N != wanted).to_numpy()
    is_source = (choices.open_N == sources).to_numpy()
    is_language = (choices.open_N != NO_LANGUAGE).to_numpy()
    most = frame["max_rival"].to_numpy()
    rival_N = np.where(is_other & is_language, _share(choices.open_score_N, choices.target_N), 0.0)
    origin_N = np.where(is_other, _share(choices.origin_N, choices.target_N), 0.0)
    is_third = (rival_N >= most) & ~is_source & (rival_N > origin_N)
    return Identified(
        {
            "source-language": pl.Series((origin_N >= most) & ~is_third),
            "other-language": pl.Series(is_third),
        },
        choices.open_N.set(pl.Series(~said), None),
        pl.Series(choices.open_score_N).set(pl.Series(~said), None),
    )


@cache
def _warn(language: str) -> None:
    """Say once that a language is not known."""
    log.warning(
        "%s: the identifier does not know this language, so its translations are not checked for it", language
    )


def _share(rival_N: np.ndarray, target_N: np.ndarray) -> np.ndarray:
    """The probability of a rival in a choice of two."""
    return rival_N / np.maximum(rival_N + target_N, 1e-30)
