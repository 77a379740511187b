from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conan_data.language.markup import strip_by_pattern, strip_code
from conan_data.language.markup_scanner import strip_by_scanner
from conan_data.readers import Row, read_rows

CORPUS = Path(__file__).parents[3] / ".." / "shared" / "data" / "corpus"
PIECES = [
    *"`~<>{}&:#;%/-@.!_()s \n+=$^\\0189aZhwé中\u3000",
    *(
        "```",
        "~~~",
        "``",
        "http://",
        "https://",
        "www.",
        "script",
        "<pre",
        "</pre>",
        "<code>",
        "</code>",
        "style",
    ),
    *("<!--", "-->", "{{", "}}", "{%", "%}", "&#", "()", "`_", "--", "a@b.c", ":func:`", "a_b", "und"),
]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Liste `ls --all` Dateien", "Liste Dateien"),
        ("avant ```python\nimport os\n``` après", "avant après"),
        ("siehe :func:`os.path.join` und ``None``.", "siehe und ."),
        ("<p>Hola <b>mundo</b></p> https://example.org/a?b=c fin", "Hola mundo fin"),
        ("corre {{ruta/al/archivo}} ya", "corre ya"),
        ("usa --verbose siempre", "usa siempre"),
        ("um-zu bleibt", "um-zu bleibt"),
        ("这是一个函数foo()的例子", "这是一个函数 的例子"),
        ("输入和/或输出", "输入和/或输出"),
        ("请访问https://example.org/a。然后继续", "请访问 。然后继续"),
        ("联系人anna.b@example.org。", "联系人 。"),
        ("سعر ۱۲۳ و 123", "سعر ۱۲۳ و"),
    ],
)
def test_leaves_the_language(text: str, left: str) -> None:
    assert strip_code(text) == left


def test_code_alone_leaves_nothing() -> None:
    assert strip_code("`import os`\n\n```\nprint(1)\n```") == ""


@settings(max_examples=2000, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.sampled_from([1, 4, 9, 1000]))
@example("ph@hw.w (a_) <pre>x</script> a3_ 3f()", 1000)
def test_one_pass_does_what_the_pattern_does(text: str, max_bytes: int) -> None:
    assert strip_by_scanner(text, max_bytes).strip() == strip_by_pattern(text, max_bytes).strip()


@given(st.text(max_size=60))
def test_any_text_can_be_stripped(text: str) -> None:
    assert strip_by_scanner(text, 1000).strip() == strip_by_pattern(text, 1000).strip()
    assert len(strip_code(text, 10).encode()) <= 10


@pytest.mark.skipif(not CORPUS.exists(), reason="../shared/data/corpus is not there")
def test_real_pages_are_stripped_as_the_pattern_does() -> None:
    rows = [row for path in sorted(CORPUS.glob("*.zst")) for row in list(read_rows(path))[::23]]
    texts = [row.values["text"] for row in rows if isinstance(row, Row)]
    assert sum(strip_code(text) != text for text in texts) > 1000
    for text in texts:
        assert strip_by_scanner(text, 4000).strip() == strip_by_pattern(text, 4000).strip()
