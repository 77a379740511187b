"""Writes what a task leaves behind; see `parts`."""

from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.dedup.url import host, url_hash
from conan_data.corpus.parts import KEPT, PartWriter

_REST = KEPT.names[KEPT.names.index("lang") :]


class WritePart(PipelineStep):
    """Writes kept and dropped documents and the comparison of labels; see `parts`."""

    name, type = "part", "writer"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        with PartWriter(self.folder, rank) as part:
            labels, drops = part.counts["labels"], part.counts["drops"]
            for document in data:
                found = document.metadata
                if "label" in found:
                    labels[found["label"]] += 1
                if masked := found.get("masked"):
                    part.counts["masked"].update(masked | {"documents": 1})
                for kind, (num_found, num_extracted) in (found.get("parts") or {}).items():
                    part.counts["parts"].update(
                        {f"{kind}\tfound": num_found, f"{kind}\textracted": num_extracted}
                    )
                file, row, name, place = map(found.get, ("file_number", "row_number", "file", "place"))
                if drop := found.get("dropped"):
                    lang = found.get("lang") or None
                    drops[f"{drop.stage}\t{drop.reason}\t{lang or ''}"] += 1
                    if drop.reason == "other-language":
                        part.counts["other_languages"][drop.detail] += 1
                    part.examples.offer(
                        drop.stage,
                        drop.reason,
                        lang=lang,
                        file=name,
                        place=place,
                        id=document.id,
                        detail=drop.detail,
                        text=drop.raw or document.text,
                    )
                    reason = (drop.stage, drop.reason, lang, drop.detail or None, drop.raw or None)
                    part.add("dropped", (file, row, document.id, name, place, *reason))
                else:
                    text = document.text
                    part.counts["fields"]["group"] += bool(found.get("group"))
                    found["host"] = host(found.get("url"))
                    found["url_hash"] = url_hash(found.get("url"))
                    values = (file, row, name, place, document.id, text, *map(found.get, _REST))
                    part.add("kept", values, characters=len(text))
                yield document
