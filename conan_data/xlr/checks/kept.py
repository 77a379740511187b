"""What a translation must hand on as it is: addresses, placeholders, inline code and quoted names.

People leave sentences out, and with them the code in them: of 5,057 human translations of sources with inline code 8%
lack a span. What shows a bad translation is a span that is in the place of another one, so that is what counts as
changed; how much must be kept is a threshold of its own. Only names in quotation marks count, whose words have a
capital letter, a digit or a sign of code: other quoted words are translated by people, too.
"""

import re
from collections.abc import Callable

import numpy as np
import polars as pl

from conan_data.xlr.checks.check import Check, Found

CODE = re.compile(r"``(?:[^`\n]|`(?!`))+``|`[^`\n]+`")
_IN_URL = r"""[^\s<>"'`，。；、）」』)\]}]"""
URL = re.compile(rf"(?:(?:https?|ftp)://|www\.){_IN_URL}*[A-Za-z0-9_/]")
PLACEHOLDER = re.compile(
    r"\{\{[^{}\n]{1,60}\}\}|\{[A-Za-z0-9_.:]{0,40}\}|\$\{[A-Za-z0-9_]{1,40}\}|<[A-Za-z/][^<>\n]{0,40}>"
    r"|(?<![\d%\w])%(?:\([A-Za-z0-9_]+\))?[sdifgx](?!\w)|(?<!\w)\$[A-Za-z_][A-Za-z0-9_]*"
)
QUOTED = re.compile(r"""(?<!\w)["“«„「'‘](?P<quoted>[^"“”«»„「」'‘’\n]{2,40})["”»“」'’](?!\w)""")
_NAME = re.compile(r"[A-Z0-9]|\w.*[A-Z0-9_./\\:#@]")


def code_spans(text: str) -> list[str]:
    """Return the inline code of a text, without its marks."""
    return [span.strip("`").strip() for span in CODE.findall(text)]


def quoted_names(text: str) -> list[str]:
    """Return what stands in quotation marks and is a name."""
    return list(filter(is_name, QUOTED.findall(text)))


def is_name(quoted: str) -> bool:
    """Return whether each word of a text begins with a capital letter or a digit, or holds one or a sign of code."""
    return all(map(_NAME.match, quoted.split()))


def _find_code(frame: pl.DataFrame) -> Found:
    changed, lost = np.zeros(len(frame), bool), np.zeros(len(frame), bool)
    rows = frame.select(pl.col("source").str.contains("`", literal=True)).to_series().arg_true()
    part = frame[rows]
    for row, text, source, most, least in zip(
        rows, part["text"], part["source"], part["max_changed_code"], part["min_code_kept"], strict=True
    ):
        spans = code_spans(source)
        if not spans:
            continue
        num_lost = sum(span not in text for span in spans)
        if num_lost:
            num_new = sum(span not in source for span in code_spans(text))
            changed[row] = min(num_lost, num_new) > most
            lost[row] = len(spans) - num_lost < least * len(spans)
    return {"code-changed": pl.Series(changed), "code-lost": pl.Series(lost)}


def _share_check(
    name: str, reason: str, threshold: str, sign: str, items: Callable[[str], list[str]], *, prose: bool
) -> Check:
    """A check that at least `threshold` of the source's `items` stand in the translation; only sources that match
    `sign` are looked at.
    """
    column = "source_prose" if prose else "source"

    def find(frame: pl.DataFrame) -> Found:
        lost = np.zeros(len(frame), bool)
        rows = frame[column].str.contains(sign).arg_true()
        part = frame[rows]
        for row, text, source, least in zip(rows, part["text"], part[column], part[threshold], strict=True):
            found = items(source)
            lost[row] = sum(item in text for item in found) < least * len(found)
        return {reason: pl.Series(lost)}

    return Check(name, find)


CODE_KEPT = Check("code", _find_code)
URLS_KEPT = _share_check("urls", "url-lost", "min_urls_kept", r"://|www\.", URL.findall, prose=True)
PLACEHOLDERS_KEPT = _share_check(
    "placeholders", "placeholder-lost", "min_placeholders_kept", r"[{<%$]", PLACEHOLDER.findall, prose=True
)
NAMES_KEPT = _share_check("names", "name-lost", "min_names_kept", "[\"“«„「'‘]", quoted_names, prose=True)
