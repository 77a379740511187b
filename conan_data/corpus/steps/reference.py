"""Reads the documents and queries of sets that a corpus is held against, a file a task."""

import logging
from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.readers import Broken, read_rows
from conan_data.text.normalisation import normalise

log = logging.getLogger(__name__)


class ReadReference(PipelineStep):
    """Rows with a text, as documents; rows without one are nothing to compare with, and are counted in the log."""

    name, type = "reference", "reader"

    def __init__(self, files: list[Path]) -> None:
        super().__init__()
        self.files = files

    def run(self, data: Iterator[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        path, without = self.files[rank], 0
        for number, row in enumerate(read_rows(path)):
            text = None if isinstance(row, Broken) else row.values.get("text")
            if isinstance(row, Broken) or not isinstance(text, str) or not (text := _clean(text)):
                without += 1
                continue
            name = row.values.get("_id", row.values.get("id"))
            place = {"file_number": rank, "row_number": number, "file": row.file, "place": row.place}
            identifier = str(name) if name is not None else f"{path.name}:{row.place}"
            yield Document(text=text, id=identifier, metadata=place)
        if without:
            log.warning("%s: %s rows have no text to compare with", path, f"{without:,}")


def _clean(text: str) -> str:
    return normalise(text.encode(errors="replace").decode())
