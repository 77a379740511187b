"""Drops documents whose address is on a block list."""

from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.documents import Dropped, remaining
from conan_data.corpus.safety.config import SafetyConfig
from conan_data.corpus.safety.domains import BlockList, compile_list

COMPILED = "block-list.npy"


class BlockDomains(PipelineStep):
    """Drops by `url`; the detail is the entry of the list. Documents without an address pass, and are counted."""

    name, type = "domains", "filter"

    def __init__(self, safety: SafetyConfig, folder: Path) -> None:
        """Compiles the lists into `folder`, once for all tasks."""
        super().__init__()
        self.path = folder / COMPILED
        compile_list(safety.inputs, self.path, datatrove=safety.datatrove_domains)

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        blocked = BlockList(self.path)
        for document, is_in in remaining(data):
            if is_in:
                url = document.metadata["url"]
                if not url:
                    self.stat_update("without-url")
                elif entry := blocked.find(url):
                    document.metadata["dropped"] = Dropped("safety", "blocked-domain", entry)
            yield document
