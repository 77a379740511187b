"""Headings of pages in the shapes that manuals, wikis and blogs have: all of them are kept, and no boilerplate."""

import random
import re
from collections.abc import Iterator
from functools import partial

import pytest

from conan_data.readers import ExtractConfig
from conan_data.readers.extraction import Extractor

WORDS = [
    "harbour",
    "letter",
    "sailor",
    "family",
    "mill",
    "winter",
    "garden",
    "bridge",
    "market",
    "river",
    "stone",
    "lantern",
    "window",
    "journey",
]
NAV = '<nav><ul><li><a href="/">BOILERhome</a></li><li><a href="/shop">BOILERshop</a></li></ul></nav>'
NAV_DIV = '<div class="navbar"><h2>BOILERtitle</h2><ul><li><a href="/">BOILERhome</a></li></ul></div>'
NAV_TABLE = (
    '<div class="navheader"><table><tr><th colspan="3">BOILERchapter</th></tr><tr><td><a href="p">BOILERprev</a></td>'
    '<td><a href="n">BOILERnext</a></td></tr></table><hr/></div>'
)
FOOTER = "<footer><h2>BOILERlegal</h2><p>BOILERcopyright of some company, all rights reserved since then.</p></footer>"
FOOTER_DIV = '<div class="footer"><h3>BOILERabout</h3><p>BOILERcopyright of some company, all rights reserved.</p></div>'
SIDEBAR = (
    '<div class="sidebar"><h3>BOILERside</h3><ul><li><a href="/a">BOILERone</a></li><li><a href="/b">BOILERtwo</a>'
    "</li></ul></div>"
)


class Manual:
    """A generated page; `headings` are those of its text."""

    def __init__(self, rng: random.Random, num_sections: int) -> None:
        self.rng, self.num_sections, self.headings = rng, num_sections, list[str]()

    def sentences(self, most: int = 4) -> str:
        return " ".join(
            f"{' '.join(self.rng.choices(WORDS, k=self.rng.randint(8, 15))).capitalize()}."
            for _ in range(self.rng.randint(2, most))
        )

    def heading(self, level: int, form: str) -> str:
        self.headings.append(f"Section {len(self.headings)} {' '.join(self.rng.choices(WORDS, k=2))}")
        return form.format(level=level, text=self.headings[-1])

    def body(
        self,
        *,
        before: str = "",
        after: str = "",
        form: str = "<h{level}>{text}</h{level}>",
        block: str = "p",
    ) -> str:
        parts = [self.heading(1, form), f"<{block}>{self.sentences()}</{block}>"]
        for _ in range(self.num_sections):
            parts += [before, self.heading(self.rng.choice([2, 2, 3]), form)]
            for _ in range(self.rng.randint(1, 3)):
                parts.append(f"<{block}>{self.sentences()}</{block}>")
            if self.rng.random() < 0.3:
                parts.append(f"<ul>{''.join(f'<li>{self.sentences(2)}</li>' for _ in range(3))}</ul>")
            if self.rng.random() < 0.3:
                parts.append("<pre>make install\n  --prefix=/usr</pre>")
            parts.append(after)
        return "\n".join(parts)

    def page(self, shape: str) -> bytes:
        section = partial(self.body, before="<section>", after="</section>")
        permalink = '<h{level}>{text}<a class="headerlink" href="#a" title="Permalink">¶</a></h{level}>'
        docbook = '<div class="titlepage"><div><div><h{level} class="title"><a id="x"></a>{text}</h{level}></div></div></div>'
        wiki = (
            '<h{level}><span class="mw-headline">{text}</span><span class="mw-editsection">[<a href="e">BOILERedit</a>]'
            "</span></h{level}>"
        )
        content = {
            "body": lambda: NAV + self.body() + FOOTER,
            "sections": lambda: NAV + section() + FOOTER,
            "chapter": lambda: f'{NAV_TABLE}<div class="chapter">{self.body()}</div>{FOOTER_DIV}',
            "docbook": lambda: (
                f'{NAV_TABLE}<div class="chapter">'
                + self.body(before='<div class="section">', after="</div>", form=docbook)
                + f"</div>{FOOTER_DIV}"
            ),
            "sphinx": lambda: (
                f'{NAV_DIV}<div class="document"><div class="body">{section(form=permalink)}</div>{SIDEBAR}</div>'
                + FOOTER_DIV
            ),
            "article": lambda: f"{NAV}<article>{self.body()}</article>{FOOTER}",
            "main": lambda: f"{NAV}{SIDEBAR}<main>{section()}</main>{FOOTER}",
            "wiki": lambda: (
                f'{NAV_DIV}<div class="mw-parser-output">{self.body(form=wiki)}</div>{FOOTER_DIV}'
            ),
            "layout table": lambda: (
                f'<table><tr><td><a href="/">BOILERhome</a></td><td>{self.body()}</td></tr></table>{FOOTER}'
            ),
            "divs": lambda: (
                f"{NAV}<div>{self.body(before='<div>', after='</div>', block='div')}</div>{FOOTER}"
            ),
        }[shape]()
        return f"<!doctype html><html><head><title>T</title></head><body>{content}</body></html>".encode()


SHAPES = (
    "body",
    "sections",
    "chapter",
    "docbook",
    "sphinx",
    "article",
    "main",
    "wiki",
    "layout table",
    "divs",
)


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    made = Extractor(ExtractConfig())
    yield made
    made.close()


@pytest.mark.parametrize("num_sections", [1, 4, 25])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_heading_is_kept_in_its_place_and_no_boilerplate(
    extractor: Extractor, shape: str, num_sections: int
) -> None:
    for seed in range(3):
        manual = Manual(random.Random(f"{shape} {seed}"), num_sections)
        page = manual.page(shape)
        lines = extractor.extract(page).text.split("\n")
        assert [line for line in lines if line.startswith("Section ")] == manual.headings
        assert not re.search("BOILER|¶", "\n".join(lines))
        # Each heading stands before the text that it stands before on the page.
        first_words = re.findall(r"Section \d+ [a-z ]+<.*?<(?:p|div)>(\w+ \w+ \w+)", page.decode(), re.DOTALL)
        after = [lines[number + 1] for number, line in enumerate(lines) if line.startswith("Section ")]
        assert len(first_words) == len(after)
        assert all(line.startswith(words) for line, words in zip(after, first_words, strict=True))


def extract(extractor: Extractor, body: str) -> list[str]:
    return extractor.extract(f"<html><body>{body}</body></html>".encode()).text.split("\n")


def test_a_heading_without_text_that_was_kept_stays_out(extractor: Extractor) -> None:
    text = (
        "The old mill by the river was built long ago, and people of the village bring their grain to it. "
        * 4
    )
    links = '<ul><li><a href="/a">One</a></li><li><a href="/b">Two</a></li></ul>'
    body = (
        f"<div><h3>Elsewhere</h3>{links}</div><p>{text}</p><h2>Mill</h2><p>{text}x</p><h2>Read on</h2>{links}"
    )
    assert extract(extractor, body) == [text.strip(), "Mill", f"{text}x"]


def test_headings_above_one_that_is_put_back_come_with_it(extractor: Extractor) -> None:
    text = (
        "The old mill by the river was built long ago, and people of the village bring their grain to it. "
        * 4
    )
    body = f"<h1>Book</h1><h2>Part</h2><h3>Mill</h3><p>{text}1</p><h3>River</h3><p>{text}2</p><h2>End</h2><p>{text}3</p>"
    assert extract(extractor, body) == [
        "Book",
        "Part",
        "Mill",
        text + "1",
        "River",
        text + "2",
        "End",
        text + "3",
    ]


def test_a_page_with_the_letters_that_serve_as_marks_is_left_as_it_is(extractor: Extractor) -> None:
    text = "The old mill \U00017000 by the river was built long ago, and people bring their grain to it. " * 9
    assert extract(extractor, f"<h2>Mill</h2><p>{text}</p>")[-1] == text.strip()


def test_note_boxes_are_no_tables(extractor: Extractor) -> None:
    text = (
        "The old mill by the river was built long ago, and people of the village bring their grain to it. "
        * 4
    )
    box = (
        '<div class="note"><table summary="Note"><tr><td rowspan="2"><img alt="[Note]" src="note.png"/></td><th>Note</th>'
        "</tr><tr><td><p>Mills turn only while the river does not freeze.</p></td></tr></table></div>"
    )
    lines = extract(
        extractor,
        f"<h2>Mill</h2><p>{text}</p>{box}<table><tr><td>a</td><td>b</td></tr></table><p>{text}2</p>",
    )
    assert "Mills turn only while the river does not freeze." in lines
    assert [line for line in lines if "|" in line] in ([], ["| a | b |"], ["| a | b | "])
