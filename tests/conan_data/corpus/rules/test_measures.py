"""The compiled pass and numpy must count the same, and both what a reader would count."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conan_data.corpus import rules
from conan_data.corpus.rules import arrays, kernel
from conan_data.corpus.rules.check import Checker, fastest
from conan_data.corpus.rules.config import RulesConfig
from conan_data.corpus.rules.measures import Count, Measure, StopTable

STOP = StopTable(["the", "of", "and", "的", "一", "در", "দিয়ে"])
SCRIPTS = "aZé ßжЖ한국のカ的一ไทลาआिक्ষমرحςΩםש"
SIGNS = '09 \t\n\n\n..…!?|•-*"”)#{};:。！__`😀\x00\ufeff𠀀\U000e0100'
PIECES = (
    "the cat. ",
    "The of",
    "\n",
    "\n\n",
    " ",
    "的一是",
    "- a b",
    "aB3dE5fG9",
    "...",
    "3.14",
    " “x.” ",
    "|",
)


def count(text: str, *, sentence_letters: int = 30, measure: Measure = kernel.measure) -> dict[str, int]:
    found = measure(text, sentence_letters=sentence_letters, stop=STOP)
    return dict(zip(Count.__members__, found, strict=True))


@settings(max_examples=300, deadline=None)
@given(
    text=st.one_of(
        st.text(st.one_of(st.sampled_from(SCRIPTS + SIGNS), st.characters(exclude_categories=["Cs"]))),
        st.lists(st.sampled_from((*PIECES, *SCRIPTS)), max_size=80).map("".join),
    ),
    sentence_letters=st.sampled_from((3, 30)),
)
def test_numpy_counts_the_same(text: str, sentence_letters: int) -> None:
    assert count(text, sentence_letters=sentence_letters) == count(
        text, sentence_letters=sentence_letters, measure=arrays.measure
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The end of 2024", {"UNITS": 4, "WORDS": 4, "WORD_CHARS": 12, "ALPHABETIC": 3, "STOP_WORDS": 2}),
        ("THE the The", {"STOP_WORDS": 1, "UNITS": 3}),
        ("দিয়ে", {"STOP_WORDS": 1}),
        ("一个 word 的", {"UNITS": 4, "UNSPACED": 3, "RUNNING_WORDS": 2, "STOP_WORDS": 2}),
        ("a#b # {c}", {"HASHES": 2, "BRACES": 2, "VISIBLE": 7, "LETTERS": 3}),
        ("wait... what… ......", {"ELLIPSES": 3}),
        ("so it goes...\nand ends”.\n- a point\n• another\n---", {"LINES": 4, "ALL_LINES": 5, "ENDED_LINES": 2}),
        ("so it goes...\nand on…”\n- a point\n• another\n12", {"ELLIPSIS_LINES": 2, "BULLET_LINES": 2}),
        ("int x;\nif (x) {\n}\nno", {"CODE_LINES": 3, "ALL_LINES": 4}),
        ("dog\n dog \ncat\n\ndog\ndog\ncat", {"REPEATED_LINES": 4, "REPEATED_LINE_CHARS": 12, "LINE_CHARS": 18}),
        ("a b\nc d\n\na b\nc d\n\n\na b", {"PARAGRAPHS": 3, "REPEATED_PARAGRAPHS": 1, "REPEATED_PARAGRAPH_CHARS": 6}),
        ("a b c d e f g a b c d e", {"PHRASES": 8, "REPEATED_PHRASES": 1, "LONG_PHRASES": 3}),
        ("buy now " * 5, {"TOP_PHRASE": 30, "UNIT_CHARS": 30, "TOP_PHRASE_2": 36, "TOP_PHRASE_3": 48}),
        ("buy now buy now buy now", {"TOP_PHRASE": 0}),
        ("getElementById SQL Php5 OLTmUuRNp3DZ4 d41d8cd9", {"MIXED_WORD_CHARS": 21}),
    ],
)  # fmt: skip
def test_counts_are_right(text: str, expected: dict[str, int]) -> None:
    found = count(text)
    assert {name: found[name] for name in expected} == expected


def test_stop_words_fit_in_the_bits_of_one_number() -> None:
    with pytest.raises(AssertionError):
        StopTable([str(number) for number in range(65)])


def test_without_numba_numpy_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fastest() is kernel.measure
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, kernel.__name__)
    monkeypatch.delattr(rules, "kernel")
    assert fastest.__wrapped__() is arrays.measure


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from((*PIECES, "Accept all\n", "It was raining outside. ", "他说得很对。", "x{};\n"))
    ).map("".join)
)
def test_verdicts_are_the_same(text: str) -> None:
    config = RulesConfig(min_words=3, min_chars=3)
    for lang in ("en", "zh", ""):
        compiled, numpy = Checker(config), Checker(config, measure=arrays.measure)
        assert compiled.check(text, lang) == numpy.check(text, lang)
