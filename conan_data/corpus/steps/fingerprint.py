"""What the search for duplicates needs of a document, taken while its text is at hand."""

from collections.abc import Iterator

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.minhash import MinHash
from conan_data.corpus.documents import batches

BATCH_DOCUMENTS, BATCH_CHARS = 256, 1 << 18
"""A batch ends when it has as many documents or characters."""


class Fingerprint(PipelineStep):
    """Sets `exact_hash` and `band_keys` (None for a text that is too short for shingles).

    Documents are held back until a batch is full, and go on in their order.
    """

    name, type = "fingerprint", "dedup"

    def __init__(self, dedup: DedupConfig) -> None:
        super().__init__()
        self.dedup = dedup

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        minhash = MinHash.from_config(self.dedup)
        for batch in batches(data, BATCH_DOCUMENTS, BATCH_CHARS):
            self._mark([document for document in batch if "dropped" not in document.metadata], minhash)
            yield from batch

    def _mark(self, documents: list[Document], minhash: MinHash) -> None:
        found = minhash.fingerprints([document.text for document in documents])
        hashes = zip(documents, found.exact, found.keys, found.has_keys.tolist(), strict=True)
        for document, exact, keys, has_keys in hashes:
            document.metadata["exact_hash"] = exact.tobytes()
            document.metadata["band_keys"] = keys.tobytes() if has_keys else None
