"""What decides how web pages become text."""

import dataclasses
from typing import Literal

from conan_data.config import Config
from conan_data.fields import Count, PositiveFloat


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractConfig(Config):
    """The main text of HTML pages, of WARC files and of folders."""

    time_limit: PositiveFloat = 10.0
    """Seconds of processor time for one page; one that takes longer goes into quarantine."""
    max_page_bytes: Count = 20_000_000
    """A larger page goes into quarantine unread."""
    favour: Literal["balance", "precision", "recall"] = "balance"
    """Which mistake is worse: boilerplate that stays (precision), or text that goes (recall)."""
    headings: Literal["plain", "markdown"] = "plain"
    """How headings are written: as lines like others, or with as many # before them as their level, by which build-pairs
    finds the sections of a text.
    """
