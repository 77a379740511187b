import pytest

from conan_data.language.markup import strip_code


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
    ],
)
def test_leaves_the_language(text: str, left: str) -> None:
    assert strip_code(text) == left


def test_code_alone_leaves_nothing() -> None:
    assert strip_code("`import os`\n\n```\nprint(1)\n```") == ""
