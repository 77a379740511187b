"""What the tokenizer is trained on, and how large it gets."""

from dataclasses import dataclass

from conan_data.config import StageConfig, require, source
from conan_train.tokenizer.specials import SPECIALS

SMALLEST = 256 + len(SPECIALS)
"""The vocabulary of a tokenizer without a single merge: all bytes, and the special tokens."""


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig(StageConfig):
    """Train a byte-level BPE tokenizer on a corpus of many languages."""

    corpus: tuple[str, ...] = source()
    """Corpus artifacts, files, folders or globs of documents with a `text`, or `sample` for the texts that
    come with the package.
    """
    vocab_size: int
    """Tokens in all, special ones and the 256 bytes included."""
    sample_characters: int = 200_000_000
    """Characters to train on, drawn from the whole corpus; a language may exceed its part of them by one
    document.
    """
    balance: float = 0.5
    """Share of a language in that sample is its share of the corpus to this power: 1 as it is, 0 all
    languages alike.
    """
    min_frequency: int = 2
    """How often a pair has to occur to become a token."""
    max_token_bytes: int = 48
    """Longest token in bytes. Where words are not spaced, a sentence that is often repeated would become one."""
    baseline: str = source("")
    """Tokenizer to compare with: a folder, a tokenizer.json, an artifact, or a model on the Hub
    (owner/name[@revision]).
    """
    seed: int = 0
    """Seed of the choice of documents."""

    def __post_init__(self) -> None:
        require(len(self.corpus) > 0, "corpus", self.corpus, "name at least one artifact, file or folder")
        require(
            self.vocab_size >= SMALLEST,
            "vocab_size",
            self.vocab_size,
            f"must be at least {SMALLEST} (256 bytes, {len(SPECIALS)} special tokens)",
        )
        require(
            self.sample_characters >= 1, "sample_characters", self.sample_characters, "must be at least 1"
        )
        require(0 <= self.balance <= 1, "balance", self.balance, "must be between 0 and 1")
        require(self.max_token_bytes >= 1, "max_token_bytes", self.max_token_bytes, "must be at least 1")
        require(self.min_frequency >= 1, "min_frequency", self.min_frequency, "must be at least 1")
