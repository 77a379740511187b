"""What the search for duplicates needs of a document, taken while its text is at hand."""

from collections.abc import Iterator

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.minhash import MinHash
from conan_data.corpus.dedup.shingles import exact_hash, shingles
from conan_data.corpus.documents import remaining


class Fingerprint(PipelineStep):
    """Sets `exact_hash` and `band_keys` (None for a text that is too short for shingles)."""

    name, type = "fingerprint", "dedup"

    def __init__(self, dedup: DedupConfig) -> None:
        super().__init__()
        self.dedup = dedup

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        minhash = MinHash.from_config(self.dedup)
        for document, is_in in remaining(data):
            if is_in:
                found = shingles(document.text, self.dedup.ngram)
                document.metadata["exact_hash"] = exact_hash(document.text)
                document.metadata["band_keys"] = minhash.band_keys(found).tobytes() if len(found) else None
            yield document
