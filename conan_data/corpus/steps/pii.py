"""Masks personal data; a document in which some was found is kept."""

from collections.abc import Iterator

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.documents import remaining
from conan_data.corpus.safety.config import SafetyConfig
from conan_data.corpus.safety.pii import mask


class MaskPii(PipelineStep):
    """Puts placeholders into the text; `masked` says how many of each kind, where there are any."""

    name, type = "pii", "formatter"

    def __init__(self, safety: SafetyConfig) -> None:
        super().__init__()
        self.kinds = frozenset(safety.mask_kinds)

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document, is_in in remaining(data):
            if is_in:
                document.text, counts = mask(document.text, self.kinds)
                if counts:
                    document.metadata["masked"] = counts
            yield document
