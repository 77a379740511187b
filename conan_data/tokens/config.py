"""What is tokenised, and how the work is cut."""

from dataclasses import dataclass

from conan_data.config import Memory, StageConfig, execution, require
from conan_data.fields import Count, FileName
from conan_data.inputs import DataPaths, RequiredDataPath


@dataclass(frozen=True, kw_only=True)
class TokenizeConfig(StageConfig):
    """Tokenise a corpus once, into shards of token ids that training maps into memory."""

    tokenizer: RequiredDataPath
    """Tokenizer artifact, or a folder with `tokenizer.json` and `tokenizer_config.json`."""
    corpus: DataPaths = ()
    """Corpus artifacts, files, folders or globs of documents with a `text`, or `sample` for the texts that
    come with the package.
    """
    pairs: DataPaths = ()
    """Retrieval sets, or files, folders or globs of rows with a `query` and a `document`; each pair is one
    more document, the query in a line before its document.
    """
    split: FileName = "train"
    """Split of the retrieval sets."""
    part_size: Memory = "64MB"
    """Bytes of an input file that are one piece of work; what was done is kept in pieces when a run is
    interrupted.
    """
    shard_tokens: Count = 500_000_000
    """Tokens from which a shard is full; a piece of work is not cut."""
    workers: Count = execution(1)
    """Processes that tokenise at once; one uses all cores by itself, several use one each."""

    def check(self) -> None:
        super().check()
        require(
            len(self.corpus) + len(self.pairs) > 0, "corpus", self.corpus, "name at least one input, or pairs"
        )
