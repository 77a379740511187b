"""What the tokenizer is trained on, and how large it gets."""

from dataclasses import dataclass
from typing import Annotated

from conan_data.config import StageConfig, source
from conan_data.fields import Count, Names, NonNegativeInt, Rule, Share
from conan_train.tokenizer.specials import SPECIALS

SMALLEST = 256 + len(SPECIALS)
"""The vocabulary of a tokenizer without a single merge: all bytes, and the special tokens."""
LARGE_ENOUGH = Rule(
    f"must be at least {SMALLEST} (256 bytes, {len(SPECIALS)} special tokens)", lambda size: size >= SMALLEST
)


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig(StageConfig):
    """Train a byte-level BPE tokenizer on a corpus of many languages."""

    corpus: Names = source()
    """Corpus artifacts, files, folders or globs of documents with a `text`, or `sample` for the texts that
    come with the package.
    """
    vocab_size: Annotated[int, LARGE_ENOUGH]
    """Tokens in all, special ones and the 256 bytes included."""
    sample_characters: Count = 200_000_000
    """Characters to train on, drawn from the whole corpus; a language may exceed its part of them by one
    document.
    """
    balance: Share = 0.5
    """Share of a language in that sample is its share of the corpus to this power: 1 as it is, 0 all
    languages alike.
    """
    min_frequency: Count = 2
    """How often a pair has to occur to become a token."""
    max_token_bytes: Count = 48
    """Longest token in bytes. Where words are not spaced, a sentence that is often repeated would become one."""
    baseline: str = source("")
    """Tokenizer to compare with: a folder, a tokenizer.json, an artifact, or a model on the Hub
    (owner/name[@revision]).
    """
    seed: NonNegativeInt = 0
    """Seed of the choice of documents."""
