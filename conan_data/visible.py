r"""Characters that act on whoever shows a text instead of being shown: on a terminal ESC changes colours and clears the
screen, and in a page or a terminal bidirectional controls turn the order of what is read. Names and texts of users may
hold any of them, so what is shown has `\x1b` and `\u202e` in their place.
"""

import logging

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_OTHERS = (0x2028, 0x2029, 0xFEFF, *range(0xD800, 0xE000))
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    code: f"\\u{code:04x}" for code in (*_BIDI, *_OTHERS)
}
_KEPT = {ord("\n"): "\n", ord("\t"): "\t"}
_IN_TEXT = _ESCAPES | _KEPT
_IN_PAGE = _IN_TEXT | {ord("\r"): "\r"}


def visible(text: str) -> str:
    """Return `text` as it can be printed: controls other than the end of a line and the tab are escaped."""
    return text.translate(_IN_TEXT)


def visible_in_page(text: str) -> str:
    """Return `text` as it can stand in HTML, where a carriage return is one more end of a line."""
    return text.translate(_IN_PAGE)


class VisibleFormatter(logging.Formatter):
    """Formats a record so that names in its message cannot act on the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the formatted record with its controls escaped."""
        return visible(super().format(record))
