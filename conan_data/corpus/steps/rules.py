"""Applies the rules of `conan_data.corpus.rules`."""

from collections.abc import Iterator

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.documents import Dropped, remaining
from conan_data.corpus.rules.check import check
from conan_data.corpus.rules.config import RulesConfig


class ApplyRules(PipelineStep):
    """Drops documents that break a rule."""

    name, type = "rules", "filter"

    def __init__(self, rules: RulesConfig) -> None:
        super().__init__()
        self.rules = rules

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document, is_in in remaining(data):
            if is_in and (drop := check(document.text, self.rules)):
                document.metadata["dropped"] = Dropped("rules", drop.reason, drop.detail)
            yield document
