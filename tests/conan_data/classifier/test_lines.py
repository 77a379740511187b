import pytest

from conan_data.classifier.lines import to_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("One\n\ntwo\tthree ", "one two three"),
        ("Straße ÉTÉ", "straße été"),
        ("今天天气很好。", "今 天 天 气 很 好 。"),
        ("用Python写代码", "用 python 写 代 码"),
        ("한국어 문장", "한국어 문장"),
        ("a __label__positive b", "a positive b"),
        ("a\0b", "a b"),
        (" \n ", ""),
    ],
)
def test_one_line_of_words(text: str, line: str) -> None:
    assert to_line(text, lowercase=True, max_chars=100) == line


def test_each_thai_letter_stands_alone() -> None:
    assert len(to_line("สวัสดี", lowercase=True, max_chars=100).split()) == 6


def test_case_and_length_as_asked() -> None:
    assert to_line("Ab Cd", lowercase=False, max_chars=4) == "Ab C"


def test_is_idempotent() -> None:
    line = to_line("Ein Test 测试 ทดสอบ ok", lowercase=True, max_chars=100)
    assert to_line(line, lowercase=True, max_chars=100) == line
