"""Real texts with near duplicates of known similarity among them.

A duplicate is a copy with scattered word edits, or one that lost a run of sentences, made so that the Jaccard
similarity of word 5-grams to its original spreads over .6 to 1. The truth is brute force over Python sets and
shares no code with what is measured.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import zstandard

CORPUS = Path(__file__).resolve().parents[3] / "shared/data/corpus"
LANGUAGES = ("en", "es", "fr", "ko", "pt", "tr", "uk")
"""Languages that write spaces, so that words are beyond dispute."""
NGRAM = 5
MIN_WORDS = 50
_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Injected:
    """Texts in random order, and the pairs of an original and its copy by their places, with their
    similarities.
    """

    texts: list[str]
    pairs: dict[tuple[int, int], float]


def word_ngrams(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return {tuple(words[at : at + NGRAM]) for at in range(len(words) - NGRAM + 1)}


def true_similarity(left: str, right: str) -> float:
    one, other = word_ngrams(left), word_ngrams(right)
    return len(one & other) / max(len(one | other), 1)


def passages() -> list[str]:
    """Different texts of at least `MIN_WORDS` words."""
    texts: dict[str, None] = {}
    for lang in LANGUAGES:
        data = zstandard.ZstdDecompressor().stream_reader((CORPUS / f"pydocs.{lang}.jsonl.zst").read_bytes())
        for line in data.read().splitlines():
            text = orjson.loads(line)["text"]
            if len(_WORD.findall(text)) >= MIN_WORDS:
                texts.setdefault(text)
    return list(texts)


def inject(num_texts: int, num_copies: int, *, seed: int) -> Injected:
    """`num_texts` passages and a copy of each of the first `num_copies` of them."""
    rng = np.random.default_rng(seed)
    found = passages()
    originals = [found[place] for place in rng.permutation(len(found))[:num_texts]]
    copies = [_copy(text, rng, originals) for text in originals[:num_copies]]
    order = rng.permutation(len(originals) + len(copies))
    place = np.argsort(order)
    texts = [(originals + copies)[index] for index in order]
    pairs = {}
    for index in range(len(copies)):
        left, right = sorted((int(place[index]), int(place[len(originals) + index])))
        pairs[left, right] = true_similarity(texts[left], texts[right])
    return Injected(texts, pairs)


def _copy(text: str, rng: np.random.Generator, texts: list[str]) -> str:
    target = rng.uniform(0.6, 1.0)
    sentences = _SENTENCE.split(text)
    num_cut = round((1 - target) * len(sentences))
    if num_cut and rng.random() < 0.5:
        start = int(rng.integers(0, len(sentences) - num_cut + 1))
        return " ".join(sentences[:start] + sentences[start + num_cut :])
    words = re.split(r"(\s+)", text)
    num_words = len(words[::2])
    # An edit breaks NGRAM of the text's n-grams, and adds as many.
    num_edits = max(1, rng.poisson(num_words * (1 - target) / (1 + target) / NGRAM))
    others = texts[int(rng.integers(len(texts)))].split()
    for at in rng.integers(0, num_words, size=num_edits) * 2:
        word = others[int(rng.integers(len(others)))]
        words[at] = ("", word, f"{words[at]} {word}")[int(rng.integers(3))]
    return "".join(words)
