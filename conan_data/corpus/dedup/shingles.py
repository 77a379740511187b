"""A text as a set of hashed n-grams: what MinHash estimates on, and what the exact similarity is taken of.

Splitting at white space leaves a Chinese page with no n-gram at all, and then every Chinese duplicate stays.
Shingles here are runs of `ngram` units: words, or letters of scripts without spaces (see `characters`). Case,
punctuation and white space do not count. A text of fewer units has no shingle: it is compared by its exact
hash only.

Hashes are of 64 bits. A unit is the polynomial of its mixed code points, an n-gram a linear combination of
its units, and each is mixed (Steele et al. 2014, "Fast splittable pseudorandom number generators", the
finaliser): accidental collisions are rare, deliberate ones are not guarded against.

Shapes: N characters, U units, S shingles.
"""

import hashlib

import numpy as np

from conan_data.corpus.characters import DIGIT, LETTER, UNSPACED, Characters, characters

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no position of a word loses bits of its code points


def mix(values: np.ndarray) -> np.ndarray:
    """The splitmix64 finaliser of uint64 values, a bijection."""
    values = values.astype(np.uint64)
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def unit_hashes(chars: Characters) -> np.ndarray:
    """uint64 [U]: one hash a unit, in the order of the text."""
    inside = (chars.kinds == LETTER) | (chars.kinds == UNSPACED) | (chars.kinds == DIGIT)
    starts = np.flatnonzero(chars.begins[inside])
    if len(starts) == 0:
        return np.zeros(0, dtype=np.uint64)
    codes = mix(chars.codes[inside].astype(np.uint64) + _BASE)
    lengths = np.diff(starts, append=len(codes))
    positions = np.arange(len(codes)) - np.repeat(starts, lengths)
    powers = np.multiply.accumulate(np.full(int(lengths.max()), _BASE))
    return mix(np.add.reduceat(codes * powers[positions], starts))


def ngram_hashes(units: np.ndarray, ngram: int) -> np.ndarray:
    """uint64 [max(0, U - ngram + 1)]: one hash a run of `ngram` units."""
    num_ngrams = len(units) - ngram + 1
    if num_ngrams <= 0:
        return np.zeros(0, dtype=np.uint64)
    total = np.zeros(num_ngrams, dtype=np.uint64)
    weight = _BASE
    for offset in range(ngram):
        total += units[offset : offset + num_ngrams] * weight
        weight = np.multiply(weight, _BASE, dtype=np.uint64) if offset + 1 < ngram else weight
    return mix(total)


def shingles(text: str, ngram: int) -> np.ndarray:
    """uint64 [S], sorted, each once; empty for a text of fewer than `ngram` units."""
    return np.unique(ngram_hashes(unit_hashes(characters(text.casefold())), ngram))


def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """Size of the intersection over size of the union of two sorted sets of which one at least is not empty."""
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / (len(left) + len(right) - shared)


def exact_hash(text: str) -> bytes:
    """16 bytes, equal for texts that differ only in case and white space."""
    return hashlib.blake2b(" ".join(text.casefold().split()).encode(), digest_size=16).digest()
