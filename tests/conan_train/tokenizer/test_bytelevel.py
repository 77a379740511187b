"""Words of any script stay whole, and no text is lost."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import Split

from conan_train.tokenizer.bytelevel import PATTERN, finish, untrained
from conan_train.tokenizer.specials import SPECIALS


def words(text: str) -> list[str]:
    return [
        word
        for word, _ in Split(Regex(PATTERN), behavior="isolated").pre_tokenize_str(
            unicodedata.normalize("NFC", text)
        )
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello wörld's end", ["Hello", " wörld", "'s", " end"]),
        ("Türkiye'daki l'eau", ["Türkiye", "'daki", " l", "'eau"]),
        ("नमस्ते दुनिया", ["नमस्ते", " दुनिया"]),
        ("مَرْحَبًا بالعالم", ["مَرْحَبًا", " بالعالم"]),
        ("สวัสดี ภาษาไทย", ["สวัสดี", " ภาษาไทย"]),
        ("使用Python编写。", ["使用", "Python", "编写", "。"]),
        ("人工知能とサーバー", ["人工知能とサーバー"]),
        ("한국어 문장", ["한국어", " 문장"]),
        ("v12345 a1", ["v", "1", "2", "3", "4", "5", " a", "1"]),
        ("a  b\n\n  c\t", ["a", " ", " b", "\n\n", " ", " c", "\t"]),
        ("--opt {{x}}", ["--", "opt", " {{", "x", "}}"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_nothing_is_lost() -> None:
    text = "".join(
        chr(code) + (" " if code % 7 == 0 else "") for code in range(1, 0x3000) if not 0xD800 <= code < 0xE000
    )
    assert "".join(words(text)) == unicodedata.normalize("NFC", text)


def trained() -> Tokenizer:
    tokenizer = untrained()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([__doc__, "naïve נִקּוּד مَرْحَبًا नमस्ते 使用 é "] * 20, trainer)
    return finish(tokenizer)


TRAINED = trained()
VALID = st.characters(exclude_categories=["Cs"])  # a lone surrogate is no valid text


@settings(max_examples=500, deadline=None)
@given(st.text(VALID, max_size=40))
def test_any_text_comes_back(text: str) -> None:
    """In its composed form; a special token that a text spells out is none of the text's own."""
    ids = TRAINED.encode(text).ids
    assert ids[-1] == SPECIALS.index("</s>")
    assert TRAINED.decode(ids[:-1], skip_special_tokens=False) == unicodedata.normalize("NFC", text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("a1 \t\n\r\u00a0\u200f\u200d\u0301שׁםمَ使サก็ाﬁ#{"), max_size=30))
def test_spaces_marks_and_directions_come_back(text: str) -> None:
    assert TRAINED.decode(TRAINED.encode(text, add_special_tokens=False).ids) == unicodedata.normalize(
        "NFC", text
    )


@pytest.mark.parametrize(
    "text",
    ["def f(x):\n    if x:\n        return 1\n", "\tif:\n\t\tx\r\n", "שלום עולם 12", "e\u0301a\u0308", "각"],
)
def test_code_and_right_to_left(text: str) -> None:
    decoded = TRAINED.decode(TRAINED.encode(text, add_special_tokens=False).ids)
    assert decoded == unicodedata.normalize("NFC", text)
