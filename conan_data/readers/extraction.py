"""Main text of web pages, in a process of its own that a page cannot take the run down with.

Extractors hang, recurse and run out of memory on some pages of any large crawl, inside C code where a signal
handler of Python does not get a turn. So one process a reader does the work (`extraction_child`), under
limits that the operating system enforces; where a page ends it, that page has a reason, and the next one gets
a new process. The limit counts processor time, so that a busy machine does not change the result; a page
that is within a few percent of it may still fall on either side.
"""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from conan_data.errors import UserError
from conan_data.readers.config import ExtractConfig

_CHILD = Path(__file__).with_name("extraction_child.py")
_TIMERS = (-signal.SIGPROF, -signal.SIGALRM)


@dataclass(frozen=True, slots=True)
class Page:
    """What was found on a page, or (`reason`) why nothing was."""

    text: str = ""
    title: str | None = None
    lang: str | None = None
    reason: str = ""
    detail: str = ""
    parts: Mapping[str, tuple[int, int]] | None = None
    """By kind, how many parts the page has and how many of them are in the text (see `text.page_parts`)."""


class Extractor:
    """Extracts pages one after the other; the process starts with the first."""

    def __init__(self, config: ExtractConfig) -> None:
        """Raises `UserError` where the packages for it are missing."""
        require_packages()
        self._config = config
        self._child: subprocess.Popen[bytes] | None = None

    def extract(self, page: bytes, *, url: str | None = None, charset: str | None = None) -> Page:
        """The main text of HTML; `charset` is what the server said. Never raises for a page."""
        if len(page) > self._config.max_page_bytes:
            return Page(reason="page-too-large", detail=f"{len(page)} bytes")
        child = self._child or self._start()
        request = {
            "size": len(page),
            "url": url,
            "charset": charset or "",
            "favour": self._config.favour,
            "headings": self._config.headings,
            "time_limit": self._config.time_limit,
        }
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n" + page)
            child.stdin.flush()
        except BrokenPipeError:
            return self._failure({})
        line = child.stdout.readline()
        answer = json.loads(line) if line.endswith(b"\n") else {}
        if "text" not in answer:
            return self._failure(answer)
        return Page(answer["text"] or "", answer["title"], answer["lang"], parts=answer["parts"])

    def close(self) -> None:
        """Ends the process."""
        child, self._child = self._child, None
        if child is not None:
            assert child.stdin is not None and child.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
            child.stdout.close()
            child.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        self._child = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._child.stdout is not None
        if not self._child.stdout.readline():
            # Not the fault of any page, so none may go into quarantine for it.
            raise UserError(
                f"web pages: the extractor does not start; see what it says: {sys.executable} -P {_CHILD}"
            )
        return self._child

    def _failure(self, answer: dict[str, Any]) -> Page:
        """Why the process ended."""
        assert self._child is not None
        child = self._child
        self.close()
        if child.returncode in _TIMERS:
            return Page(reason="extraction-timeout", detail=f"over {self._config.time_limit:g} s")
        return Page(reason="extraction-failed", detail=answer.get("failed") or f"exit {child.returncode}")


def extractor(config: ExtractConfig) -> Extractor:
    """This process's extractor for `config`; it ends with the process."""
    return _extractor(config, os.getpid())


@cache
def _extractor(config: ExtractConfig, _pid: int) -> Extractor:
    return Extractor(config)


def require_packages() -> None:
    """Raises `UserError` where the packages that read web pages are missing."""
    for package in ("trafilatura", "lxml_html_clean", "fastwarc"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"web pages need the package {package}: pip install 'conan-embed[web]'")
