"""Documentation: its code is no fault of it, and stays or goes as the user likes."""

import html
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import lxml.html
import pyarrow.parquet as pq
import pytest

from conan_data import artifact
from conan_data.cli import COMMANDS
from conan_data.command import main
from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.rules.boilerplate import line_hashes
from conan_data.corpus.rules.check import check
from conan_data.corpus.rules.config import RulesConfig
from conan_data.readers import Row, read_rows
from conan_data.text import page_parts
from tests.conan_data.corpus.test_build import documents, sentence

CODE = "#include <list.h>\nfor (int i = 0; i < n; i++) {\n\tlist_add(&items[i], head);\n}\nreturn head;"
RECIPES = Path(__file__).parents[3] / "pipelines"


def prose(seed: int, num_sentences: int = 5) -> str:
    rng = random.Random(seed)
    return " ".join(sentence("en", rng) for _ in range(num_sentences))


def page(*, num_blocks: int = 8, kind: str = '<pre class="programlisting">{}</pre>') -> str:
    parts = ["<h1>The list</h1>"]
    for number in range(num_blocks):
        parts += [f"<h2>Part {number} of the list</h2><p>{prose(number)}</p>", kind.format(html.escape(CODE))]
    parts.append(
        f"<ul><li>{prose(90, 1)}</li><li>{prose(91, 1)}</li></ul><table><tr><th>call</th><th>what it does</th></tr>"
        f"<tr><td>list_add</td><td>{prose(92, 1)}</td></tr></table>"
    )
    menu = "<nav><ul><li>Home</li><li>All of the other pages</li></ul></nav>"
    return f"<html lang=en><head><title>Lists</title></head><body>{menu}<article>{''.join(parts)}</article></body></html>"


def text_of(folder: Path, content: str) -> str:
    (folder / "page.html").write_text(content, encoding="utf-8")
    (row,) = read_rows(folder / "page.html")
    assert isinstance(row, Row)
    return str(row.values["text"])


def build(out: Path, source: Path, **fields: Any) -> list[dict[str, Any]]:
    return documents(
        build_corpus(BuildCorpusConfig(out=out, input=(str(source),), languages=("en",), **fields))
    )


@pytest.mark.parametrize(
    "kind",
    [
        "<pre>{}</pre>",
        "<pre><code class=language-c>{}</code></pre>",
        '<div class="highlight"><pre><span></span>{}</pre></div>',
        '<div class="wrap"><pre class="screen">{}</pre></div>',
    ],
)
def test_code_of_pages_stays_to_the_letter_between_fences(tmp_path: Path, kind: str) -> None:
    text = text_of(tmp_path, page(kind=kind))
    assert text.count(f"\n```\n{CODE}\n```\n") == 8
    assert (
        text.index("Part 3 of the list")
        < text.index("```", text.index(prose(3)[:40]))
        < text.index("Part 4 of")
    )
    assert text.isprintable() is False and not re.search("[\U00017000-\U00018aff]", text)


def test_a_mail_in_one_pre_is_text(tmp_path: Path) -> None:
    text = text_of(tmp_path, f"<html><body><h1>A mail</h1><pre>{prose(1, 12)}</pre></body></html>")
    assert "```" not in text and prose(1, 12)[:60] in " ".join(text.split())


def test_no_rule_but_that_on_length_looks_at_code() -> None:
    listing = f"```c\n{CODE * 9}\n```\n\n"
    text = "".join(f"{prose(number)}\n\n{listing}" for number in range(8))
    assert check(text, RulesConfig(), lang="en") is None
    unfenced = text.replace("```c\n", "").replace("```", "")
    assert (drop := check(unfenced, RulesConfig(), lang="en")) and drop.reason in (
        "short-lines",
        "code-lines",
        "repeated-lines",
        "duplicate-lines",
    )
    # Code is no prose either.
    assert (drop := check(listing + "Few words.", RulesConfig(), lang="en")) and drop.reason == "too-short"
    assert (drop := check(text, RulesConfig(max_chars=1000), lang="en")) and drop.reason == "too-long"


def test_code_stays_or_goes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "list.html").write_text(page(), encoding="utf-8")
    rows = [
        {"id": "markdown", "text": f"{prose(50)}\n\n```c\n{CODE}\n```\n\n{prose(51)}"},
        {"id": "listing", "lang": "en", "text": f"~~~\n{CODE}\n~~~"},
    ]
    (tmp_path / "in" / "a.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    kept = {row["id"]: row["text"] for row in build(tmp_path / "keep", tmp_path / "in")}
    assert set(kept) == {"markdown", "list.html"} and all("```" in text for text in kept.values())
    without = {row["id"]: row["text"] for row in build(tmp_path / "drop", tmp_path / "in", code="drop")}
    assert without["markdown"] == f"{prose(50)}\n\n{prose(51)}"
    assert "list_add(" not in without["list.html"] and prose(7) in without["list.html"]
    drops = pq.read_table(tmp_path / "drop" / "dropped.parquet").to_pylist()
    assert [(drop["id"], drop["reason"]) for drop in drops] == [("listing", "only-code")]


def test_code_that_many_pages_share_is_no_boilerplate() -> None:
    text = f"Read on\n```\n{CODE}\n```\nNext page"
    assert [bool(value) for value in line_hashes(text, "h")] == [True, *7 * [False], True]


def test_the_report_tells_what_extraction_kept(tmp_path: Path) -> None:
    (tmp_path / "list.html").write_text(page(num_blocks=3), encoding="utf-8")
    build(tmp_path / "out", tmp_path / "list.html")
    found = artifact.open_artifact(tmp_path / "out").manifest["extra"]["extraction"]
    assert found == {
        "code blocks": {"found": 3, "extracted": 3},
        "headings": {"found": 4, "extracted": 4},
        "list items": {"found": 2, "extracted": 2},
        "table cells": {"found": 4, "extracted": 4},
    }
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "code blocks</td>" in report and 'id="extraction"' in report


def test_what_extraction_lost_is_counted() -> None:
    content = """<body><h1>A list</h1><ul><li>One of
      them</li><li>Another</li><li><a href=x>Only a link</a></li></ul><table><td>a</td><td>the cell</td></table>
      <div class=sidebar><h2>Menu</h2></div><pre>one\n  two</pre></body>"""
    found = page_parts.parts(lxml.html.fromstring(content))
    none = {kind: (number, 0) for kind, number in Counter(kind for kind, _ in found).items()}
    assert none == {"headings": (1, 0), "list items": (2, 0), "table cells": (2, 0), "code blocks": (1, 0)}
    assert page_parts.kept(found, "Some text of\nA lists") == none
    every = "A list\n- One of\nthem\n| a | the cell | \n```\none\n  two\n```\nand Another"
    assert page_parts.kept(found, every) == none | {
        "headings": (1, 1),
        "list items": (2, 1),
        "table cells": (2, 2),
        "code blocks": (1, 1),
    }


def test_the_recipe_for_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "list.en.html").write_text(page(), encoding="utf-8")
    (folder / "list.fr.html").write_text(page(num_blocks=5), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    recipe = str(RECIPES / "corpus_docs.yaml")
    main("conan-data", "", COMMANDS, ["build-corpus", "--config", recipe, "--workers", "1"])
    kept = documents(tmp_path / "runs" / "docs" / "corpus")
    assert [(row["id"], row["group"]) for row in kept] == [("list.en.html", "list"), ("list.fr.html", "list")]
