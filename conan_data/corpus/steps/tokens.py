"""Counts the tokens of a document with the user's tokenizer."""

import os
from collections.abc import Iterator

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus import tokenizer
from conan_data.corpus.documents import batches

BLOCK = 512
BLOCK_CHARACTERS = 1_000_000
"""Documents, and characters of their texts, that are held back to be encoded together."""


class CountTokens(PipelineStep):
    """Sets `tokens` of the documents that are still in. `parallel`: the tokenizer may use all cores."""

    name, type = "tokens", "stats"

    def __init__(self, tokenizer: str, *, parallel: bool) -> None:
        super().__init__()
        self.tokenizer, self.parallel = tokenizer, parallel

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        if not self.parallel:
            # The one way to tell the library; this process is a worker of ours, beside others.
            os.environ["TOKENIZERS_PARALLELISM"] = "false"
        loaded = tokenizer.load(tokenizer.find(self.tokenizer))
        for block in batches(data, BLOCK, BLOCK_CHARACTERS):
            remaining = [document for document in block if "dropped" not in document.metadata]
            counts = tokenizer.count_tokens(loaded, [document.text for document in remaining])
            for document, count in zip(remaining, counts, strict=True):
                document.metadata["tokens"] = count
            yield from block
