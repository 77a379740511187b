"""What is tokenised, and how the work is cut."""

from dataclasses import dataclass

from conan_data.config import StageConfig, execution, parse_memory, require, source
from conan_data.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TokenizeConfig(StageConfig):
    """Tokenise a corpus once, into shards of token ids that training maps into memory."""

    tokenizer: str = source()
    """Tokenizer artifact, or a folder with `tokenizer.json` and `tokenizer_config.json`."""
    corpus: tuple[str, ...] = source(())
    """Corpus artifacts, files, folders or globs of documents with a `text`, or `sample` for the texts that
    come with the package.
    """
    pairs: tuple[str, ...] = source(())
    """Retrieval sets, or files, folders or globs of rows with a `query` and a `document`; each pair is one
    more document, the query in a line before its document.
    """
    split: str = "train"
    """Split of the retrieval sets."""
    part_size: str = "64MB"
    """Bytes of an input file that are one piece of work; what was done is kept in pieces when a run is
    interrupted.
    """
    shard_tokens: int = 500_000_000
    """Tokens from which a shard is full; a piece of work is not cut."""
    workers: int = execution(1)
    """Processes that tokenise at once; one uses all cores by itself, several use one each."""

    def __post_init__(self) -> None:
        require(
            len(self.corpus) + len(self.pairs) > 0, "corpus", self.corpus, "name at least one input, or pairs"
        )
        require(self.shard_tokens >= 1, "shard_tokens", self.shard_tokens, "must be at least 1")
        require(self.workers >= 1, "workers", self.workers, "must be at least 1")
        try:
            parse_memory(self.part_size)
        except UserError as error:
            raise UserError(str(error).replace("memory", "part_size", 1)) from None
