"""What decides how web pages become text."""

import dataclasses
from typing import Literal

from conan_data.config import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """The main text of HTML pages, of WARC files and of folders."""

    time_limit: float = 10.0
    """Seconds of processor time for one page; one that takes longer goes into quarantine."""
    max_page_bytes: int = 20_000_000
    """A larger page goes into quarantine unread."""
    favour: Literal["balance", "precision", "recall"] = "balance"
    """Which mistake is worse: boilerplate that stays (precision), or text that goes (recall)."""

    def __post_init__(self) -> None:
        require(self.time_limit > 0, "extract.time_limit", self.time_limit, "must be above 0")
        require(self.max_page_bytes > 0, "extract.max_page_bytes", self.max_page_bytes, "must be above 0")
        options = ("balance", "precision", "recall")
        require(self.favour in options, "extract.favour", self.favour, f"must be one of {', '.join(options)}")
