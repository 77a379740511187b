"""Blocks of code in a text, between lines of three or more backquotes or tildes (fences), as in Markdown.

A fence that is never closed opens no block. The code of web pages comes in such blocks, too (see `page_structure`).
"""

import re
from itertools import count

_FENCE = re.compile(r"^ {0,3}(?:>\s?|[-*]\s+)?\s*(`{3,}|~{3,})(.*)$")


def fence(code: str) -> str:
    """`code` as a block."""
    runs = re.findall("`{3,}", code)
    mark = "`" * (1 + max(map(len, runs))) if runs else "```"
    return f"{mark}\n{code}\n{mark}"


def has_fences(text: str) -> bool:
    """Whether there may be a block: cheap, and False for nearly every text."""
    return "```" in text or "~~~" in text


def code_lines(lines: list[str]) -> list[bool]:
    """For each line whether it belongs to a block, fences included."""
    inside = [False] * len(lines)
    opened, mark = -1, ""
    for number, line in zip(count(), lines):
        if "```" not in line and "~~~" not in line:
            continue
        match = _FENCE.match(line)
        if match is None:
            continue
        found, rest = match.groups()
        if opened < 0:
            # A backquote behind the fence makes it a word of code in a line of text.
            if "`" not in rest:
                opened, mark = number, found
        elif found[0] == mark[0] and len(found) >= len(mark) and not rest.strip():
            inside[opened : number + 1] = [True] * (number + 1 - opened)
            opened = -1
    return inside


def without_code(text: str) -> str:
    """`text` without its blocks of code; the text around one stays in two paragraphs."""
    if not has_fences(text):
        return text
    lines = text.split("\n")
    inside = code_lines(lines)
    if not any(inside):
        return text
    kept = [("" if is_code else line) for line, is_code in zip(lines, inside, strict=True)]
    return re.sub("\n{3,}", "\n\n", "\n".join(kept)).strip()
