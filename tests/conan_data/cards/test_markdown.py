"""Nothing from the data acts as markdown, HTML or YAML in a card."""

import re

import pytest
import yaml

from conan_data.cards.markdown import Table, code, escape, fenced, literal, table

HOSTILE = [
    "# not a heading", "**bold** _soft_ `code` [a](http://x)", "<script>alert(1)</script>", "a | b | c", "a\n\n# b\n---\n",
    "- item", "1. item", "```\nout", "&lt;", "![x](y)", "~~gone~~", "$x$", "\x1b[31m", "\\", "a_b_c", "‮abc",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_as_it_is(text):
    """Rendered by an independent reader of CommonMark, the text is one paragraph that says what it said."""
    markdown_it = pytest.importorskip("markdown_it")
    html = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(escape(text))
    shown = re.sub(
        r"&(lt|gt|amp|quot);", lambda found: {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}[found[1]], html
    )
    assert html.count("<p>") == 1 and not re.search(r"<(?!/?p>)", html), html
    if text.isprintable():
        assert shown.removeprefix("<p>").removesuffix("</p>\n") == " ".join(text.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_code_and_tables_hold_their_text(text):
    markdown_it = pytest.importorskip("markdown_it")
    reader = markdown_it.MarkdownIt("commonmark").enable("table")
    html = reader.render(str(table(Table(("a", "b"), [(text, 1), (code(text), None)]))))
    assert (
        html.count("<td") == 4 and html.count("<code>") == 1 and "<script" not in html and "<h1" not in html
    )
    assert reader.render(str(fenced(text))).count("<pre>") == 1


def test_names_without_meaning_stay_as_they_are():
    assert escape("near-duplicate too_short zh-Hans 1.5") == "near-duplicate too_short zh-Hans 1.5"


def test_literals_are_python():
    for text in HOSTILE:
        if text.isprintable():
            assert eval(str(literal(text))) == text


def test_front_matter_of_a_hostile_title(tmp_path):
    from conan_data.cards.config import CardText
    from tests.conan_data.cards.sets import card_of_a_set

    for text in HOSTILE:
        card = card_of_a_set(CardText(title=text))
        front = yaml.safe_load(card.split("---\n")[1])
        assert (
            front["pretty_name"] == " ".join(text.split()) and front["configs"][0]["config_name"] == "corpus"
        )
