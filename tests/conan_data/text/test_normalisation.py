import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conan_data.text.normalisation import normalise


@given(
    st.text(
        alphabet=st.one_of(
            st.sampled_from("a \t\r\n\x0b\x85\u2028\u00a0\u200b\u0301\ufeffé"),
            st.characters(exclude_categories=["Cs"]),
        )
    )
)
def test_is_idempotent_and_composed(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert "\r" not in once and "\n\n\n" not in once and " \n" not in once


def test_changes_only_what_nobody_reads() -> None:
    assert (
        normalise("\ufeffCafe\u0301\x00 au\u00a0lait \r\n\r\n\r\n\r\n  noir\u2028fin\x85")
        == "Café au lait\n\n  noir\nfin"
    )


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("clean text\nof two lines", "clean text\nof two lines"),
        ("tail \nno tail", "tail\nno tail"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("tab\tinside\t\nno tail", "tab\tinside\nno tail"),
        ("u\u0308ber", "über"),
        ("soft\u00adhyphen", "softhyphen"),
        ("e\u200b\u0301", "é"),
        ("全角\u3000\n空白", "全角\n空白"),
    ],
)
def test_no_short_cut_passes_over_what_must_change(text: str, normal: str) -> None:
    assert normalise(text) == normal


def test_keeps_joiners() -> None:
    persian, devanagari = "می\u200cخواهم", "क्\u200dष"
    assert normalise(persian) == persian
    assert normalise(devanagari) == devanagari


def test_time_grows_with_length_only() -> None:
    start = time.monotonic()
    normalise("x" + " " * 300_000 + "x")
    assert time.monotonic() - start < 1
