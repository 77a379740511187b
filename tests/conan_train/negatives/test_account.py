"""The line of a refresh."""

import logging
import math
from types import SimpleNamespace
from typing import Any

import pytest

from conan_train.negatives.account import account


@pytest.mark.parametrize(
    ("score", "words"),
    [(0.5, "100% of the negatives are new, mean score 0.500"), (math.nan, "no query has a negative left")],
)
def test_a_refresh_without_negatives_says_so(
    score: float, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    new: Any = SimpleNamespace(name="gen-1", mean_score=score, staleness=lambda step: 0)
    mined: Any = SimpleNamespace(generation=new, task=SimpleNamespace(num_negatives=2), name="retrieval")
    with caplog.at_level(logging.INFO, logger="conan_train"):
        account(mined, SimpleNamespace(name=""), step=6, mode="inline", facts={}, share=0.1, trigger="due")
    assert words in caplog.text and "nan%" not in caplog.text
