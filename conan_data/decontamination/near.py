"""Near duplicates by MinHash, in the form in which an edit of one word changes little and another subject much.

One other word in a query of ten changes four of its ten pairs of words, whether it is a typing error or a new question.
In its letters a typing error changes three of fifty trigrams and a new subject twenty. So short texts are compared by
the trigrams of their letters, and texts in scripts without spaces by pairs of characters. Long texts are compared by
pairs of words: unrelated ones share too many trigrams. Two short texts with different numbers ask different things.

Shapes: N texts of a batch, E evaluation texts, B bands, F candidates.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from conan_data.corpus.dedup.arrays import Sets, mix
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.minhash import MinHash
from conan_data.corpus.dedup.shingles import hasher
from conan_data.decontamination.postings import Postings, paired
from conan_data.text.characters import UNSPACED_RANGES

LETTERS, UNSPACED, WORDS = range(3)
_NGRAMS: Final = (3, 2, 2)
_LONG = 300
"""Characters from which a text is compared by its words."""
_NUM_BANDS, _ROWS_PER_BAND = 48, 7
"""Two texts of similarity 0.7 share a band with a chance of 0.98, of 0.15 with one of 0.0001."""
_MOST_OWNERS = 32
_DIGITS = re.compile(r"\d+")
_IS_UNSPACED = re.compile("[" + "".join(f"{chr(start)}-{chr(end)}" for start, end in UNSPACED_RANGES) + "]")


def form_of(text: str) -> int:
    """Return how a text is compared."""
    if not text.isascii() and 2 * len(_IS_UNSPACED.findall(text)) > len(text.replace(" ", "")):
        return UNSPACED
    return LETTERS if len(text) <= _LONG else WORDS


class NearIndex:
    """The evaluation texts by their band keys."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._families = [
            MinHash.from_config(
                DedupConfig(
                    num_bands=_NUM_BANDS, rows_per_band=_ROWS_PER_BAND, ngram=ngram, threshold=threshold
                )
            )
            for ngram in _NGRAMS
        ]
        self._marks = mix(np.arange(1, 1 + len(_NGRAMS) * _NUM_BANDS, dtype=np.uint64)).reshape(
            -1, _NUM_BANDS
        )
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self._postings: Postings | None = None

    def add(self, texts: Sequence[str], numbers: np.ndarray) -> None:
        """Add evaluation texts by their numbers (int64 [E]); those of a length near the bound in both forms."""
        forms = np.array([form_of(text) for text in texts])
        sizes = np.array([len(text) for text in texts])
        for form, own in (
            (LETTERS, (forms != UNSPACED) & (sizes * self.threshold <= _LONG)),
            (WORDS, (forms != UNSPACED) & (sizes >= _LONG * self.threshold)),
            (UNSPACED, forms == UNSPACED),
        ):
            places = np.flatnonzero(own)
            keys, with_keys = self._keys(texts, places, form)
            self._parts.append((keys, np.repeat(numbers[with_keys], _NUM_BANDS)))

    def finish(self) -> None:
        """Index what was added."""
        keys, owners = (np.concatenate(column) for column in zip(*self._parts))
        self._postings = Postings(keys, owners, most=_MOST_OWNERS)
        self._parts = []

    def candidates(self, texts_N: Sequence[str]) -> np.ndarray:
        """Return uint64 [F] (see `paired`), ascending: texts of a batch and evaluation texts that may be near."""
        assert self._postings is not None, "finish() comes first"
        forms = np.array([form_of(text) for text in texts_N])
        found = [np.zeros(0, np.uint64)]
        for form in range(len(_NGRAMS)):
            keys, with_keys = self._keys(texts_N, np.flatnonzero(forms == form), form)
            places, owners = self._postings.find(keys)
            found.append(paired(with_keys[places // _NUM_BANDS], owners))
        return np.unique(np.concatenate(found))

    def similarities(
        self, texts: Sequence[str], others: Sequence[str], one: np.ndarray, two: np.ndarray
    ) -> np.ndarray:
        """Return float64 [F]: the Jaccard similarity of `texts[one]` and `others[two]`, 0 where their numbers differ."""
        forms = np.array([form_of(text) for text in texts], np.int64)
        jaccard = hasher().jaccard
        found = np.zeros(len(one))
        digits = [_digits(text) for text in texts], [_digits(text) for text in others]
        for form, ngram in enumerate(_NGRAMS):
            pairs = np.flatnonzero(forms[one] == form) if len(one) else one
            if not len(pairs):
                continue
            left = shingle_sets([_in_form(text, form) for text in texts], ngram)
            right = shingle_sets([_in_form(text, form) for text in others], ngram)
            for pair, first, second in zip(pairs.tolist(), one[pairs].tolist(), two[pairs].tolist()):
                if form == WORDS or digits[0][first] == digits[1][second]:
                    own, other = _at(left, first), _at(right, second)
                    found[pair] = jaccard(own, other) if len(own) and len(other) else 0
        return found

    def _keys(self, texts: Sequence[str], places: np.ndarray, form: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the band keys of some texts, one text after the other, and which of them have any."""
        found = self._families[form].fingerprints([_in_form(texts[place], form) for place in places.tolist()])
        return mix(found.keys[found.has_keys] ^ self._marks[form]).reshape(-1), places[found.has_keys]


def shingle_sets(texts: Sequence[str], ngram: int) -> Sets:
    """Return the hashed n-grams of units of each text, each once."""
    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    return hasher().shingle_sets(np.frombuffer(b"".join(encoded), np.uint8), offsets, ngram)


def _in_form(text: str, form: int) -> str:
    """Return a text whose units are what is compared: of letters each by itself."""
    return " ".join(text.replace(" ", "")) if form == LETTERS else text


def _digits(text: str) -> list[str]:
    return _DIGITS.findall(text)


def _at(sets: Sets, place: int) -> np.ndarray:
    return sets.values[sets.ends[place] : sets.ends[place + 1]]
