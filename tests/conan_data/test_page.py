"""Characters that turn the order of a line, or act on a terminal, are shown in a page and do not act there."""

from pathlib import Path

from conan_data import page
from conan_data.visible import visible

HOSTILE = "a\x1b[31m\0b\u202ec\u2066d\u200fe\u2028f"
SHOWN = "a\\x1b[31m\\x00b\\u202ec\\u2066d\\u200fe\\u2028f"
JOINED = "می\u200cخواهم 👩\u200d💻 line\nline\ttab"
"""Joiners belong to the spelling of Persian and of emoji."""


def test_controls_are_shown_in_text_and_attributes(tmp_path: Path) -> None:
    template = tmp_path / "page.html.jinja"
    template.write_text(
        "{% macro body(x) %}<i>{{ x }}</i>{% endmacro %}<p title='{{ x }}'>{{ body(x) }} {{ y }}</p>"
    )
    html = page.render(template, x=HOSTILE, y=JOINED + "\r\n<b>")
    assert html == f"<p title='{SHOWN}'><i>{SHOWN}</i> {JOINED}\r\n&lt;b&gt;</p>"


def test_controls_are_shown_on_the_terminal() -> None:
    assert visible(HOSTILE) == SHOWN and visible(JOINED) == JOINED
    assert visible("over\rwritten") == "over\\x0dwritten"
