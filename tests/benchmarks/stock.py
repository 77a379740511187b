"""What datatrove's blocks need before they can be measured at all, or by other tokens than their own."""

import re

import xxhash
from datatrove.utils.hashes import xxhash as hashes
from datatrove.utils.word_tokenizers import WordTokenizer, simple_span_tokenize

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class SplitTokenizer(WordTokenizer):
    """Words between white space, sentences between their signs."""

    def __init__(self) -> None:
        super().__init__("xx")

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()

    def sent_tokenize(self, text: str) -> list[str]:
        return SENTENCE_END.split(text)

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return list(simple_span_tokenize(text, self.sent_tokenize(text)))


def hash_text_again() -> None:
    """xxhash 4 takes bytes only, and datatrove 0.10.1 hands it text; without this its MinHash cannot run at all."""
    hashes.xxhash64 = lambda data: xxhash.xxh64_intdigest(data.encode())
    hashes.xxhash32 = lambda data: xxhash.xxh32_intdigest(data.encode())
