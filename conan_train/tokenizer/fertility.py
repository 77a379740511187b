"""How much text a token holds, by language: the price that each language pays in length, memory and time."""

from collections import defaultdict
from dataclasses import dataclass, field

from tokenizers import Tokenizer

CHARACTERS = 200_000
"""Characters of a language to measure on."""
BATCH = 256


@dataclass
class Texts:
    """Texts of each language, about `limit` characters at most."""

    limit: int = CHARACTERS
    texts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    characters: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, lang: str, text: str) -> None:
        if self.characters[lang] < self.limit:
            self.texts[lang].append(text)
            self.characters[lang] += len(text)


def measure(tokenizer: Tokenizer, held_out: Texts, trained_on: Texts) -> dict[str, dict[str, object]]:
    """Characters and bytes a token, special ones not counted, for each language: of held-out texts, or where
    there are none of others.
    """
    languages = sorted(held_out.texts.keys() | trained_on.texts.keys())
    return {
        lang: _measure_one(tokenizer, held_out.texts.get(lang, []), trained_on.texts.get(lang, []))
        for lang in languages
    }


def _measure_one(tokenizer: Tokenizer, held_out: list[str], trained_on: list[str]) -> dict[str, object]:
    texts = held_out or trained_on
    num_tokens = 0
    for start in range(0, len(texts), BATCH):
        num_tokens += sum(
            len(encoding)
            for encoding in tokenizer.encode_batch_fast(
                texts[start : start + BATCH], add_special_tokens=False
            )
        )
    num_characters = sum(map(len, texts))
    return {
        "held_out": bool(held_out),
        "documents": len(texts),
        "characters": num_characters,
        "tokens": num_tokens,
        "characters_per_token": round(num_characters / num_tokens, 4),
        "bytes_per_token": round(sum(len(text.encode()) for text in texts) / num_tokens, 4),
    }
