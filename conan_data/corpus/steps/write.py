"""Writes what a task leaves behind; see `parts`."""

from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.documents import DETAILS
from conan_data.corpus.parts import PartWriter


class WritePart(PipelineStep):
    """Writes kept and dropped documents and the comparison of labels; see `parts`."""

    name, type = "part", "writer"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        with PartWriter(self.folder, rank) as part:
            for document in data:
                found = document.metadata
                part.counts["labels"].update([found["label"]] if "label" in found else [])
                place = {name: found[name] for name in ("file_number", "row_number", "file", "place")} | {
                    "id": document.id,
                    "lang": found.get("lang") or None,
                }
                if drop := found.get("dropped"):
                    part.examples.offer(
                        drop.stage,
                        drop.reason,
                        lang=place["lang"],
                        file=found["file"],
                        place=found["place"],
                        id=document.id,
                        detail=drop.detail,
                        text=drop.raw or document.text,
                    )
                    part.add(
                        "dropped",
                        place
                        | {
                            "stage": drop.stage,
                            "reason": drop.reason,
                            "detail": drop.detail or None,
                            "raw": drop.raw or None,
                        },
                    )
                else:
                    names = ("lang_score", *DETAILS, "group", "exact_hash", "band_keys", "tokens")
                    values = {name: found.get(name) for name in names}
                    part.add("kept", place | {"text": document.text} | values)
                yield document
