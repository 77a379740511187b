"""Words that say what a page is, in whatever language it stands: placeholder text, and the notices of sites
about scripts, cookies and terms.

The words are those of C4 (Raffel et al. 2020, section 2.2), the stems beside `javascript` and `cookie` those
that ask to switch them on or to agree. C4 takes every line with one of them out and every page with a curly
brace; pages about programming and about law are worth keeping, so here only short lines count, and a page
goes only if most of it is such lines.
"""

NOTICE_LETTERS = 200
"""Characters of a line from which on it is a text about the matter."""
MARKS = ("cript", "CRIPT", "ookie", "OOKIE", "クッキー", "erms of", "erms Of", "olicy", "OLICY")
"""One of them is in every text that has a notice; looked for first, since that costs a tenth."""
PHRASES = (
    "terms of use",
    "terms of service",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
    "using cookies",
    "enable cookies",
    "accept cookies",
    "cookies verwenden",
    "verwendet cookies",
    "utiliza cookies",
    "usa cookies",
    "uso de cookies",
    "utilise des cookies",
    "utilizza cookie",
    "utilizza i cookie",
    "使用cookie",
    "使用 cookie",
    "クッキーを使用",
    "cookieを使用",
    "файлы cookie",
    "файлів cookie",
    "çerez (cookie)",
)
SWITCH_STEMS = (
    "enable",
    "disabled",
    "turn on",
    "requires",
    "aktivier",
    "deaktiviert",
    "activ",
    "activez",
    "attiva",
    "habilit",
    "включ",
    "увімкн",
    "etkinleştir",
    "włącz",
    "启用",
    "啟用",
    "有効",
    "활성화",
    "تفعيل",
)
"""Beside `javascript` in a line they make it a notice."""


def is_placeholder(text: str) -> bool:
    """Whether the text holds `lorem ipsum`."""
    return "orem ipsum" in text or "orem Ipsum" in text or "OREM IPSUM" in text


def notice_share(text: str) -> float:
    """The share of characters in short lines that are notices."""
    if not any(mark in text for mark in MARKS):
        return 0.0
    total = found = 0
    for line in filter(None, map(str.strip, text.split("\n"))):
        total += len(line)
        found += len(line) if len(line) < NOTICE_LETTERS and _is_notice(line.casefold()) else 0
    return found / max(total, 1)


def _is_notice(line: str) -> bool:
    return any(phrase in line for phrase in PHRASES) or (
        "javascript" in line and any(stem in line for stem in SWITCH_STEMS)
    )
