"""Applies the rules of `conan_data.corpus.rules`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.documents import Dropped, remaining
from conan_data.corpus.rules.boilerplate import host, without_boilerplate
from conan_data.corpus.rules.check import Checker
from conan_data.corpus.rules.config import RulesConfig
from conan_data.text.code import has_fences, without_code


class ApplyRules(PipelineStep):
    """Takes out blocks of code (`drops_code`) and the lines that `boilerplate` (a file, see `rules.boilerplate`) holds, and
    drops documents that break a rule.
    """

    name, type = "rules", "filter"

    def __init__(
        self, rules: RulesConfig, boilerplate: Path | None = None, *, drops_code: bool = False
    ) -> None:
        super().__init__()
        self.rules, self.boilerplate, self.drops_code = rules, boilerplate, drops_code

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        checker = Checker(self.rules)
        lines = np.load(self.boilerplate, mmap_mode="r") if self.boilerplate else None
        for document, is_in in remaining(data):
            if is_in:
                self._apply(document, checker, lines)
            yield document

    def _apply(self, document: Document, checker: Checker, lines: np.ndarray | None) -> None:
        if self.drops_code and has_fences(document.text):
            size = len(document.text)
            document.text = without_code(document.text)
            if not document.text:
                document.metadata["dropped"] = Dropped("rules", "only-code", f"{size} characters")
                return
        text = document.text
        if lines is not None and len(text) <= self.rules.max_chars:
            document.text = without_boilerplate(text, host(document.metadata), lines)
            if text and not document.text:
                document.metadata["dropped"] = Dropped("rules", "boilerplate", f"{len(text)} characters")
                return
        if drop := checker.check(document.text, document.metadata.get("lang") or ""):
            document.metadata["dropped"] = Dropped("rules", drop.reason, drop.detail)
