"""Counts the lines of each host, for `conan_data.corpus.rules.boilerplate`."""

from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.documents import remaining
from conan_data.corpus.rules.boilerplate import RUN, LineCounts, host


class CountLines(PipelineStep):
    """Writes the counts of its task to `folder` and passes the documents on as they are."""

    name, type = "lines", "stats"

    def __init__(self, folder: Path, *, run_lines: int = RUN) -> None:
        super().__init__()
        self.folder, self.run_lines = folder, run_lines

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        counts = LineCounts(self.folder, rank, run=self.run_lines)
        for document, is_in in remaining(data):
            if is_in:
                counts.add(document.text, host(document.metadata))
            yield document
        counts.close()
