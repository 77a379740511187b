"""Natural language without the code around it, for the language guess only: what is stored keeps every
character.

Command names, tags and addresses are mostly English whatever the language of the page, so a guess on the raw
page says `en` for a third of the short ones. What is left may be empty: a page of code alone has no language.

Only ASCII counts as code, so that an address in Chinese text ends where the Chinese goes on, and digits of
other scripts stay: they tell Persian from Arabic. The pattern below is the definition; `markup_scanner` does
the same in one pass, some fifty times faster.
"""

import re
from collections.abc import Callable
from functools import cache

_PATTERNS = (
    r"```.*?```|~~~.*?~~~",  # fenced code
    r"<(?:script|style|pre|code)\b.*?</(?:script|style|pre|code)>",
    r"``[^`]*``|:[a-zA-Z:+.-]+:`[^`]*`|`[^`]*`_{0,2}",  # inline code, roles and links of Markdown and reStructuredText
    r"\{\{[^{}]*\}\}|\{%[^%]*%\}",  # templates
    r"https?://[!-;=?-~]+|www\.[!-;=?-~]+|[\w.+-]+@[\w-]+\.[\w.]+",
    r"<!--.*?-->|</?[a-zA-Z][^<>]*>|&[a-zA-Z]+;|&#\w+;",
    r"(?<!\S)--?[A-Za-z][A-Za-z0-9_-]*",  # options
    r"[A-Za-z0-9_.]*[_/\\$%=+~^#@][A-Za-z0-9_/\\.$%=+~^#@()-]+",  # paths and identifiers
    r"[A-Za-z_][A-Za-z0-9_.]*\(\)",  # calls
    r"\d+",
)
_CODE = re.compile("|".join(_PATTERNS), re.DOTALL | re.ASCII)
_SPACES = re.compile(r"\s+", re.ASCII)


def strip_code(text: str, max_bytes: int = 1 << 62) -> str:
    """`text` without code, markup, addresses and numbers; runs of ASCII white space become one space.

    Only so much of the text is read as fills `max_bytes` bytes of UTF-8.
    """
    return _stripper()(text, max_bytes).decode("utf-8", "ignore").strip()


def strip_by_pattern(text: str, max_bytes: int) -> bytes:
    """The first `max_bytes` of what is left, by regular expression."""
    left = _SPACES.sub(" ", _CODE.sub(" ", text)).strip(" ")
    return left.encode("utf-8", "surrogatepass")[:max_bytes]


@cache
def _stripper() -> Callable[[str, int], bytes]:
    """The scanner, or the pattern where numba is missing."""
    try:
        from conan_data.language.markup_scanner import strip_by_scanner
    except ImportError:
        return strip_by_pattern
    return strip_by_scanner
