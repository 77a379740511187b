"""Natural language without the code around it, for the language guess only: what is stored keeps every
character.

Command names, tags and addresses are mostly English whatever the language of the page, so a guess on the raw
page says `en` for a third of the short ones. What is left may be empty: a page of code alone has no language.
"""

import re

_PATTERNS = (
    r"```.*?```|~~~.*?~~~",  # fenced code
    r"<(?:script|style|pre|code)\b.*?</(?:script|style|pre|code)>",
    r"``[^`]*``|:[a-zA-Z:+.-]+:`[^`]*`|`[^`]*`_{0,2}",  # inline code, roles and links of Markdown and reStructuredText
    r"\{\{[^{}]*\}\}|\{%[^%]*%\}",  # templates
    r"https?://[^\s<>]+|www\.[^\s<>]+|[\w.+-]+@[\w-]+\.[\w.]+",
    r"<!--.*?-->|</?[a-zA-Z][^<>]*>|&[a-zA-Z]+;|&#\w+;",
    r"(?<!\S)--?[A-Za-z][A-Za-z0-9_-]*",  # options
    r"[A-Za-z0-9_.]*[_/\\$%=+~^#@][A-Za-z0-9_/\\.$%=+~^#@()-]+",  # paths and identifiers
    r"[A-Za-z_][A-Za-z0-9_.]*\(\)",  # calls
    r"\d+",
)
_CODE = re.compile("|".join(_PATTERNS), re.DOTALL)
_SPACES = re.compile(r"\s+")


def strip_code(text: str) -> str:
    """`text` without code, markup, addresses and numbers; runs of white space become one space."""
    return _SPACES.sub(" ", _CODE.sub(" ", text)).strip()
