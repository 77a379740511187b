"""How much of a web page's structure its extracted text still has: headings, list items, table cells, blocks of code.

A part counts as extracted if the text, from the beginning of a line or of what a table's line has between its bars, goes
on as the part does.
Menus and the like do not count (`page_structure`), nor do list items and cells that are only links.
"""

import re
from collections.abc import Iterable

from lxml.html import HtmlElement

from conan_data.text.page_structure import boilerplate_free

KINDS = {**{f"h{level}": "headings" for level in range(1, 7)}, "li": "list items", "td": "table cells"}
KINDS |= {"th": "table cells", "pre": "code blocks"}
LENGTH = 24
"""Characters that are not white space, by which parts and lines are compared."""
_SPACE = re.compile(r"\s+")
_BULLET = re.compile(r"^(?:[-*•·‣◦]|\d+[.)])\s+")


def parts(tree: HtmlElement) -> list[tuple[str, str]]:
    """The kind and the beginning of each part that has text."""
    found = []
    for element in boilerplate_free(tree):
        if kind := KINDS.get(element.tag):
            start = _beginning(element.itertext())
            if start and (kind in ("headings", "code blocks") or not _is_link(element)):
                found.append((kind, start))
    return found


def kept(found: list[tuple[str, str]], text: str) -> dict[str, tuple[int, int]]:
    """By kind, how many parts were found, and how many of them `text` has; a part that is there several times in the
    page counts each time.
    """
    starts = _starts(text.split("\n"))
    counts = {kind: [0, 0] for kind in KINDS.values()}
    for kind, start in found:
        counts[kind][0] += 1
        counts[kind][1] += start in starts
    return {kind: (num_found, num_kept) for kind, (num_found, num_kept) in counts.items()}


def _starts(lines: list[str]) -> set[str]:
    """What may begin in each line, up to each line's end that follows within `LENGTH` characters."""
    condensed = [_SPACE.sub("", line) for line in lines]
    starts = set()
    for number, line in enumerate(lines):
        bullet = _BULLET.match(line.strip())
        for first in (condensed[number], _SPACE.sub("", line.strip()[bullet.end() :]) if bullet else ""):
            start, following = first, number + 1
            while first:
                starts.add(start[:LENGTH])
                if len(start) >= LENGTH or following == len(lines):
                    break
                start += condensed[following]
                following += 1
        if "|" in line:
            starts.update(_SPACE.sub("", cell)[:LENGTH] for cell in line.split("|"))
    return starts


def _beginning(texts: Iterable[str]) -> str:
    start = ""
    for text in texts:
        start += _SPACE.sub("", text)
        if len(start) >= LENGTH:
            break
    return start[:LENGTH]


def _is_link(element: HtmlElement) -> bool:
    """Whether all of its text stands in links."""
    linked = "".join(text for link in element.iter("a") for text in link.itertext())
    return len(_SPACE.sub("", linked)) >= len(_SPACE.sub("", "".join(element.itertext())))
