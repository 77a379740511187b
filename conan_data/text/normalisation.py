"""One form for one text, so that the same words compare equal whatever editor, crawler or system wrote them.

Only what nobody reads is changed: canonical composition (NFC), line ends, characters that do not show, and
white space at the ends of lines. Zero-width joiners stay: Persian and the Indic scripts spell with them. The
function is idempotent.

Most texts need nothing, and what shows that is cheap: a text whose lines are printable holds no such
character, no other line end and no white space but spaces, and ASCII is composed as it is.
"""

import re
import unicodedata

_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff]")
_LINE_TAILS = re.compile(r"(?<![^\S\n])[^\S\n]++\n")
_BLANK_LINES = re.compile("\n{3,}")


def normalise(text: str) -> str:
    """`text` in its one form, without white space at its ends, with at most one blank line in a row."""
    printable = text.replace("\n", "").isprintable()
    if not printable:
        text = _INVISIBLE.sub("", text)
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    if not printable:
        text = _LINE_ENDS.sub("\n", text).replace("\xa0", " ")
    if not printable or " \n" in text:
        text = _LINE_TAILS.sub("\n", text)
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.strip()
