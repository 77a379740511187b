"""Sections of a text in Markdown, as our extraction of web pages writes it with `extract.headings: markdown`."""

import re

_HEADING = re.compile(r"#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*")
_FENCE = re.compile(r"[ \t]*(```+|~~~+)")
HAS_HEADING = r"(?m)^#{1,6}[ \t]"
"""Pattern of a text that may have a heading."""


def sections(text: str) -> list[tuple[str, str]]:
    """Return the heading and the text of each section, which ends at the next heading of any level.

    Lines between fences of three backquotes or tildes are code, where `#` begins a comment. Sections without text are
    left out.
    """
    found: list[tuple[str, list[str]]] = []
    fence = ""
    for line in text.split("\n"):
        if match := _FENCE.match(line):
            fence = match[1][0] if not fence else "" if match[1][0] == fence else fence
        if not fence and line.startswith("#") and (heading := _HEADING.fullmatch(line)):
            found.append((heading[1], []))
        elif found:
            found[-1][1].append(line)
    return [(heading, body) for heading, lines in found if (body := "\n".join(lines).strip())]
