"""Headings, code, note boxes and permalinks of web pages: what an extractor of main text gets wrong about them.

trafilatura keeps headings only inside of containers whose names it knows. On other pages (most software manuals)
it collects paragraphs, and the headings between them are lost, all of them. So each block of text is marked with
the heading that it stands under before the page is extracted, and afterwards a heading whose mark was kept, but
which was itself left out, is put back before the first text of its section. A heading without any text that was
kept, as those of menus and sidebars are, stays out.

Code is kept to the letter: a block of it is marked at both ends, and afterwards what is between its marks is replaced
by the block between fences (see `conan_data.text.code`).

A mark is one letter of a script that hardly any page is written in (Tangut), since extractors drop characters that
are not printable. A page that holds such letters is left as it is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree
from lxml.html import HtmlElement

from conan_data.text.code import fence

_LEVELS = {f"h{level}": level for level in range(1, 7)}
_FIRST_MARK, _MAX_HEADINGS = 0x17000, 3000
_FIRST_CODE, _MAX_CODE = 0x18800, 760
_CODE_END = chr(_FIRST_CODE + _MAX_CODE)
_MARKS = re.compile(f"[{chr(_FIRST_MARK)}-{chr(_FIRST_MARK + 2 * _MAX_HEADINGS - 1)}]")
_CODE_MARKS = re.compile(f"[{chr(_FIRST_CODE)}-{_CODE_END}]")
_CODE_BLOCK = re.compile(
    rf"[^\S\n]*([{chr(_FIRST_CODE)}-{chr(_FIRST_CODE + _MAX_CODE - 1)}])([^{chr(_FIRST_CODE)}-{_CODE_END}]*){_CODE_END}[^\S\n]*"
)
_CODE_CLASS = re.compile(
    r"code|highlight|listing|screen|source|synopsis|console|terminal|lang-|language-|literal-?block", re.I
)
_MARK_AND_SPACE = re.compile(_MARKS.pattern + r"\s*")
_BLOCKS = frozenset(
    [
        "p",
        "pre",
        "blockquote",
        "li",
        "dd",
        "dt",
        "td",
        "th",
        "div",
        "section",
        "article",
        "main",
        "center",
        "figcaption",
        "caption",
        "body",
    ]
)
_PARAGRAPHS = frozenset(["p", "pre", "blockquote", "li", "dd", "dt", "td"])
_NO_PROSE = _BLOCKS | frozenset(_LEVELS) | {"a"}
_BOILERPLATE_TAGS = frozenset(
    ["nav", "footer", "aside", "form", "dialog", "menu", "script", "style", "template", "noscript"]
)
_BOILERPLATE = re.compile(
    r"nav|menu|footer|side-?bar|banner|bread-?crumb|cookie|related|comment|social|share|(?:^|[\s_-])toc",
    re.IGNORECASE,
)
_HEADER = re.compile(r"title-?page|header", re.IGNORECASE)
_PERMALINKS = frozenset(["¶", "#", "§", "🔗", "⚓", "⚓︎"])
_NOTE = re.compile(
    r"(?:^|[\s_-])(?:note|tip|hint|warning|caution|important|danger|admonition)", re.IGNORECASE
)
_CELLS = frozenset(["table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption", "colgroup"])


@dataclass(slots=True)
class Heading:
    """A heading of a page; `above` are the headings of the sections that it lies in, outermost first."""

    text: str
    level: int
    above: tuple[int, ...]
    scope: HtmlElement
    """The element that the heading's section ends with, at the latest."""


def simplify(tree: HtmlElement) -> None:
    """Remove permalinks, anchors and edit links, and make blocks of tables that hold a note or the page's layout."""
    for link in list(tree.iter("a")):
        if _own_text(link) in _PERMALINKS:
            link.drop_tree()
        elif link.get("href") is None:
            # An anchor: counted as a link, it makes boilerplate of the short section that it names.
            link.drop_tag()
    for span in list(tree.iter("span")):
        if "editsection" in (span.get("class") or ""):
            span.drop_tree()
    for table in list(tree.iter("table")):
        parent = table.getparent()
        is_note = parent is not None and _NOTE.search(parent.get("class") or "")
        if is_note or next(table.iter(*_LEVELS), None) is not None:
            for cell in list(_cells(table)):
                cell.tag = "div"


def mark_code(tree: HtmlElement) -> list[str]:
    """Mark the blocks of code of a page and return their texts by number.

    A `pre` is code if its class, or that of what it lies in, says so, if it holds `code`, or if the page has more text
    outside of such elements: archives of mail and plain texts put everything into one.
    """
    if _CODE_MARKS.search("".join(tree.itertext())):
        return []
    plain = {element for element in tree.iter("pre") if not _is_marked_code(element)}
    num_plain = sum(len(_own_text(element)) for element in plain)
    are_code = (
        0 < 2 * num_plain < len(_own_text(tree.find("body") if tree.find("body") is not None else tree))
    )
    blocks: list[str] = []
    for element in list(tree.iter("pre")):
        if len(blocks) == _MAX_CODE or next(element.iterancestors("pre"), None) is not None:
            continue
        for line_break in list(element.iter("br")):
            line_break.tail = "\n" + (line_break.tail or "")
        code = "".join(element.itertext()).strip("\r\n").rstrip()
        if code.strip() and (are_code or element not in plain):
            for child in list(element):
                element.remove(child)
            element.text = chr(_FIRST_CODE + len(blocks)) + code + _CODE_END
            blocks.append(code)
    return blocks


def boilerplate_free(tree: HtmlElement) -> Iterator[HtmlElement]:
    """Yield the elements of a page that lie in no menu, footer or the like."""
    waiting = [tree]
    while waiting:
        element = waiting.pop()
        if isinstance(element.tag, str) and not _is_boilerplate(element):
            yield element
            waiting += reversed(element)


def restore_code(text: str, blocks: list[str]) -> str:
    """Return extracted text with its blocks of code between fences."""
    if not blocks:
        return text

    def block(match: re.Match[str]) -> str:
        number = ord(match.group(1)) - _FIRST_CODE
        return f"\n{fence(blocks[number])}\n" if number < len(blocks) else match.group(2)

    return _CODE_MARKS.sub("", _CODE_BLOCK.sub(block, text))


def mark(tree: HtmlElement) -> list[Heading]:
    """Mark the headings of a page and the blocks of text under them; return the headings by number."""
    if _MARKS.search("".join(tree.itertext())):
        return []
    headings: list[Heading] = []
    opened: list[int] = []
    skipped: HtmlElement | None = None
    steps: list[tuple[str, HtmlElement]] = list(etree.iterwalk(tree, events=("start", "end")))
    for event, element in steps:
        if not isinstance(element.tag, str):
            continue
        if event == "end":
            opened = [number for number in opened if headings[number].scope is not element]
            if skipped is not None and element is skipped:
                skipped = None
                # Text may follow a heading without any element of its own.
                if element.tag in _LEVELS and opened and element.tail and element.tail.strip():
                    element.tail = _block_mark(opened[-1]) + element.tail
        elif skipped is not None:
            continue
        elif _is_boilerplate(element):
            skipped = element
        elif element.tag in _LEVELS:
            skipped = element
            text = _own_text(element)
            if text and len(headings) < _MAX_HEADINGS:
                level = _LEVELS[element.tag]
                while opened and headings[opened[-1]].level >= level:
                    opened.pop()
                headings.append(Heading(text, level, tuple(opened), _scope(element)))
                opened.append(len(headings) - 1)
                element.text = chr(_FIRST_MARK + len(headings) - 1) + (element.text or "")
        elif opened and element.tag in _BLOCKS and _has_prose(element):
            element.text = _block_mark(opened[-1]) + (element.text or "")
    return headings


def restore(text: str, headings: list[Heading], *, markdown: bool = False) -> str:
    """Return extracted text without marks, with the headings that were left out of it; with `markdown` each heading
    begins with as many `#` as its level.
    """
    if not headings:
        return text
    found = {ord(letter) - _FIRST_MARK for letter in _MARKS.findall(text)}
    done = {number for number in found if number < _MAX_HEADINGS}
    lines = []
    for line in text.split("\n"):
        for letter in _MARKS.findall(line):
            number = (ord(letter) - _FIRST_MARK) % _MAX_HEADINGS
            for missing in (*headings[number].above, number):
                if missing not in done:
                    lines.append(_sign(headings[missing], markdown) + headings[missing].text)
                    done.add(missing)
        cleaned = _MARK_AND_SPACE.sub("", line)
        if cleaned or not line:
            own = (ord(letter) - _FIRST_MARK for letter in _MARKS.findall(line))
            sign = next((_sign(headings[number], markdown) for number in own if number < _MAX_HEADINGS), "")
            lines.append(sign + cleaned)
    return "\n".join(lines)


def _sign(heading: Heading, markdown: bool) -> str:
    return "#" * heading.level + " " if markdown else ""


def _is_marked_code(element: HtmlElement) -> bool:
    if next(element.iter("code", "samp", "kbd"), None) is not None:
        return True
    classes = [element.get("class") or ""]
    classes += [parent.get("class") or "" for parent in (element.getparent(),) if parent is not None]
    return any(map(_CODE_CLASS.search, classes))


def _own_text(element: HtmlElement) -> str:
    return " ".join("".join(element.itertext()).split())


def _block_mark(heading: int) -> str:
    return chr(_FIRST_MARK + _MAX_HEADINGS + heading)


def _is_boilerplate(element: HtmlElement) -> bool:
    if element.tag in _BOILERPLATE_TAGS:
        return True
    names = f"{element.get('class') or ''} {element.get('id') or ''}"
    return element.tag not in ("html", "body") and names != " " and _BOILERPLATE.search(names) is not None


def _has_prose(element: HtmlElement) -> bool:
    """Whether an element has text of its own, not only in links and in other blocks."""
    if element.text and element.text.strip():
        return True
    for child in element:
        if child.tail and child.tail.strip():
            return True
        is_inline = isinstance(child.tag, str) and child.tag not in _NO_PROSE
        if is_inline and element.tag in _PARAGRAPHS and _own_text(child):
            return True
    return False


def _scope(heading: HtmlElement) -> HtmlElement:
    """The element that holds the section of a heading: its parent, past elements that hold nothing else."""
    node = heading
    while (parent := node.getparent()) is not None and parent.tag not in ("body", "html"):
        names = f"{parent.tag} {parent.get('class') or ''}"
        is_header = parent.tag == "hgroup" or (
            _HEADER.search(names) is not None and next(parent.iter("nav"), None) is None
        )
        if not is_header and not _is_alone(node, parent):
            break
        node = parent
    return node.getparent() if node.getparent() is not None else node


def _is_alone(node: HtmlElement, parent: HtmlElement) -> bool:
    if parent.text and parent.text.strip():
        return False
    if any(child.tail and child.tail.strip() for child in parent):
        return False
    return not any(
        isinstance(child.tag, str) and any(text.strip() for text in child.itertext())
        for child in parent
        if child is not node
    )


def _cells(table: HtmlElement) -> Iterator[HtmlElement]:
    """A table and its parts, without those of tables inside of it."""
    yield table
    for child in table:
        if child.tag in _CELLS and child.tag != "table":
            yield from _cells(child)
