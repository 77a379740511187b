"""How much text a token holds, by language: the price that each language pays in length, memory and time;
and how well the vocabulary covers it, beside a tokenizer that is known.

A mean over all languages hides the one that is spelled in bytes. So everything is counted by language, on
texts that were not trained on, for both tokenizers alike.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

CHARACTERS = 200_000
"""Characters of a language to measure on."""
BATCH = 256
NUM_LONGEST = 10


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


@dataclass
class Report:
    """What `fertility.json` (by language) and `vocabulary.json` hold."""

    languages: dict[str, dict[str, Any]]
    vocabulary: dict[str, dict[str, Any]]


def measure(
    tokenizer: Tokenizer, held_out: Texts, trained_on: Texts, *, baseline: Tokenizer | None = None
) -> Report:
    """Counts for each language, special tokens not counted: of held-out texts, or where there are none of
    others. With a baseline, its counts beside, and `ratio`: how much more text a token of ours holds.
    """
    used: set[int] = set()
    used_by_baseline: set[int] = set()
    languages = {}
    for lang in sorted(held_out.texts.keys() | trained_on.texts.keys()):
        texts = held_out.texts.get(lang) or trained_on.texts.get(lang, [])
        row = {
            "held_out": bool(held_out.texts.get(lang)),
            "documents": len(texts),
            "characters": sum(map(len, texts)),
            **_counts(tokenizer, texts, used),
        }
        if baseline is not None:
            theirs = _counts(baseline, texts, used_by_baseline)
            row["baseline"] = theirs
            row["ratio"] = round(theirs["tokens"] / row["tokens"], 4)
        languages[lang] = row
    vocabulary = {"ours": _vocabulary(tokenizer, used)}
    if baseline is not None:
        vocabulary["baseline"] = _vocabulary(baseline, used_by_baseline)
    return Report(languages, vocabulary)


def describe(lang: str, row: dict[str, Any]) -> str:
    """A language in one line."""
    line = f"{lang}: {row['characters_per_token']:.2f} characters a token"
    if "baseline" in row:
        line += f" (baseline {row['baseline']['characters_per_token']:.2f}, ratio {row['ratio']:.2f})"
    line += f", {row['split_characters']:.2%} of characters not in one token"
    if "baseline" in row:
        line += f" (baseline {row['baseline']['split_characters']:.2%})"
    return line + f", {row['vocabulary_used']:.1%} of the vocabulary used"


def split_characters(encoding: Encoding, num_characters: int, *, unknown: int | None) -> int:
    """How many characters no token holds whole: spelled in bytes by several tokens, or unknown."""
    spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    # A token that holds a part of a character has the whole of it in its span.
    steps = np.zeros(num_characters + 1, dtype=np.int64)
    np.add.at(steps, spans[:, 0], 1)
    np.add.at(steps, spans[:, 1], -1)
    split = steps.cumsum()[:-1] > 1
    if unknown is not None:
        for start, end in spans[np.array(encoding.ids) == unknown]:
            split[start:end] = True
    return int(split.sum())


def _counts(tokenizer: Tokenizer, texts: list[str], used: set[int]) -> dict[str, Any]:
    """Of one language; `used` collects the tokens that occur."""
    unknown = tokenizer.token_to_id(getattr(tokenizer.model, "unk_token", None) or "")
    found: set[int] = set()
    num_tokens = num_split = num_single = 0
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        for text, encoding in zip(
            batch, tokenizer.encode_batch(batch, add_special_tokens=False), strict=True
        ):
            found.update(encoding.ids)
            num_tokens += len(encoding)
            num_split += split_characters(encoding, len(text), unknown=unknown)
            num_single += sum(end - first <= 1 for first, end in encoding.offsets)
    used |= found
    num_characters = sum(map(len, texts))
    return {
        "tokens": num_tokens,
        "characters_per_token": round(num_characters / num_tokens, 4),
        "bytes_per_token": round(sum(len(text.encode()) for text in texts) / num_tokens, 4),
        "split_characters": round(num_split / num_characters, 6),
        "single_character_tokens": round(num_single / num_tokens, 4),
        "vocabulary_used": round(len(found) / tokenizer.get_vocab_size(), 4),
    }


def _vocabulary(tokenizer: Tokenizer, used: set[int]) -> dict[str, Any]:
    """Of all languages together; the longest tokens as text, in characters."""
    size = tokenizer.get_vocab_size()
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    texts = {tokenizer.decode([number]) for number in range(size) if number not in special}
    longest = sorted(texts, key=lambda text: (-len(text), text))[:NUM_LONGEST]
    return {"size": size, "used": round(len(used) / size, 4), "longest": longest}
