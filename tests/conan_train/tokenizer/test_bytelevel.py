"""Words of any script stay whole, and no text is lost."""

import unicodedata

import pytest
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from conan_train.tokenizer.bytelevel import PATTERN


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
