"""Reads the rows of a task. A task takes a share of the blocks of a file, so that each row belongs to exactly one
task for any number of tasks, and blocks of other tasks are not parsed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.documents import to_document
from conan_data.errors import UserError
from conan_data.progress import progress
from conan_data.public_names import published_name
from conan_data.readers import Share, is_page, is_web, read_rows
from conan_data.readers.fields import Fields

BLOCK = 1 << 20
"""Bytes of one file that go to the same task."""


def shares(num_files: int, num_tasks: int) -> list[list[tuple[int, int, int]]]:
    """For each task its (file, share, number of shares of that file); whole files where there are enough of
    them.
    """
    cuts = -(-num_tasks // num_files)
    units = [(file, share, cuts) for file in range(num_files) for share in range(cuts)]
    return [units[task::num_tasks] for task in range(num_tasks)]


class ReadRows(PipelineStep):
    """Rows as documents, in the order of their `file_number` and `row_number`; broken ones come out dropped."""

    name, type = "rows", "reader"

    def __init__(
        self,
        files: Mapping[Path, str],
        fields: Fields,
        options: dict[str, Any],
        *,
        below: tuple[str, ...] = (),
        strict: bool,
        show_progress: bool,
    ) -> None:
        """`files` with their paths below the input (`sources.expand_named`); `options`: of `readers.read_rows`; `below`:
        the inputs as the user named them.
        """
        super().__init__()
        self.files, self.fields, self.options = list(files.items()), fields, options
        self.names = [published_name(file, below) for file in files]
        self.strict, self.show_progress = strict, show_progress

    @classmethod
    def from_config(cls, config: BuildCorpusConfig, files: Mapping[Path, str]) -> "ReadRows":
        return cls(
            files,
            Fields(
                text=config.text_field,
                id=config.id_field,
                group=config.group_field,
                group_regex=config.group_regex,
                group_path_regex=config.group_path_regex,
            ),
            {"max_line_bytes": config.max_line_bytes, "extract": config.extract},
            below=config.input,
            strict=config.strict,
            show_progress=config.workers == 1,
        )

    def run(self, data: Iterator[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        documents = self._documents(shares(len(self.files), world_size)[rank])
        label = "filtering" if world_size == 1 else f"filtering, part {rank + 1} of {world_size}"
        return progress(documents, label) if self.show_progress else documents

    def _documents(self, units: list[tuple[int, int, int]]) -> Iterator[Document]:
        for file, index, count in units:
            path, below = self.files[file]
            # The reader of web pages names its own fields.
            fields = replace(self.fields, text="text", id="id") if is_web(path) else self.fields
            is_one = is_page(path)
            for item in read_rows(path, Share(index, count, BLOCK), name=self.names[file], **self.options):
                document = to_document(item, fields, below, is_page=is_one)
                metadata = document.metadata
                metadata["file_number"], metadata["row_number"] = file, item.place
                if self.strict and "dropped" in metadata:
                    raise UserError(_refusal(document))
                yield document


def _refusal(document: Document) -> str:
    metadata, drop = document.metadata, document.metadata["dropped"]
    start = f": {drop.raw[:80]}" if drop.raw else ""
    return (
        f"{metadata['file']}, row {metadata['place']}: {drop.reason.removeprefix('broken-')} (strict){start}"
    )
