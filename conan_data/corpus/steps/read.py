"""Reads the rows of a task. A task takes a share of the rows that depends on their number alone, so that each row
belongs to exactly one task for any number of tasks.
"""

from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.documents import to_document
from conan_data.progress import progress
from conan_data.readers import read_rows

BLOCK = 256
"""Rows in a row of one file that go to the same task."""


def shares(num_files: int, num_tasks: int) -> list[list[tuple[int, int, int]]]:
    """For each task its (file, share, number of shares of that file); whole files where there are enough of
    them.
    """
    cuts = -(-num_tasks // num_files)
    units = [(file, share, cuts) for file in range(num_files) for share in range(cuts)]
    return [units[task::num_tasks] for task in range(num_tasks)]


class ReadRows(PipelineStep):
    """Rows as documents, numbered by file and row; broken ones come out dropped."""

    name, type = "rows", "reader"

    def __init__(self, files: list[Path], group_field: str, *, show_progress: bool) -> None:
        super().__init__()
        self.files, self.group_field, self.show_progress = files, group_field, show_progress

    def run(self, data: Iterator[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        documents = self._documents(shares(len(self.files), world_size)[rank])
        label = "filtering" if world_size == 1 else f"filtering, part {rank + 1} of {world_size}"
        return progress(documents, label) if self.show_progress else documents

    def _documents(self, units: list[tuple[int, int, int]]) -> Iterator[Document]:
        for file, share, cuts in units:
            for number, item in enumerate(read_rows(self.files[file])):
                if number // BLOCK % cuts == share:
                    document = to_document(item, self.group_field)
                    document.metadata |= {"file_number": file, "row_number": number}
                    yield document
