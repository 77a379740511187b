"""Documents of a corpus, as tokenizer and language model read them (see `conan_data.plain_text`)."""

from conan_data.plain_text import (
    UNKNOWN,
    Document,
    Tally,
    documents,
    hash_place,
    inputs,
    language,
    require_some,
)

__all__ = ["UNKNOWN", "Document", "Tally", "documents", "hash_place", "inputs", "language", "require_some"]
