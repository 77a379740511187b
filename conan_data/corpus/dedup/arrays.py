"""Hashes of texts by array operations, for machines where numba cannot be imported; see `shingles` for what
is computed. Results equal those of `kernels`.

Short texts are joined and measured together, since a call costs more than the work on one of them; a long one
is taken in pieces that end between two units.

Shapes: N texts, B bands, H hashes, U units, S shingles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from conan_data.text.characters import (
    DIGIT,
    LETTER,
    UNSPACED,
    Characters,
    characters,
    folds,
    kinds,
    spaces,
)

BASE = np.uint64(0x9E3779B97F4A7C15)
"""Of the polynomials; odd, so that no place of a unit loses bits of its code points."""
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
BLOCK = 1 << 16
"""Characters measured together."""


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Of N texts: exact hashes (uint64 [N, 2]), band keys (uint64 [N, B]), and which texts have any (bool [N])."""

    exact: np.ndarray
    keys: np.ndarray
    has_keys: np.ndarray

    @classmethod
    def empty(cls, num_texts: int, num_bands: int) -> "Fingerprints":
        return cls(
            np.zeros((num_texts, 2), dtype=np.uint64),
            np.zeros((num_texts, num_bands), dtype=np.uint64),
            np.zeros(num_texts, dtype=bool),
        )


@dataclass(frozen=True, slots=True)
class Sets:
    """Sets of hashes, set i at `values[ends[i] : ends[i + 1]]` (uint64), ascending, each once; `ends` int64 [N + 1]."""

    values: np.ndarray
    ends: np.ndarray

    @classmethod
    def joined(cls, sets: "Sequence[np.ndarray]") -> "Sets":
        """Of single sets."""
        none = np.zeros(0, dtype=np.uint64)
        return cls(np.concatenate([none, *sets]), np.cumsum([0, *map(len, sets)]))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __add__(self, other: "Sets") -> "Sets":
        """These sets, then the other ones."""
        return Sets(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.ends, self.ends[-1] + other.ends[1:]]),
        )


def mix(values: np.ndarray) -> np.ndarray:
    """The splitmix64 finaliser of uint64 values, a bijection."""
    values = values ^ (values >> np.uint64(30))
    values *= FIRST
    values ^= values >> np.uint64(27)
    values *= SECOND
    values ^= values >> np.uint64(31)
    return values


def unit_hashes(chars: Characters) -> np.ndarray:
    """uint64 [U]: one hash a unit, in the order of the text."""
    inside = (chars.kinds == LETTER) | (chars.kinds == UNSPACED) | (chars.kinds == DIGIT)
    starts = np.flatnonzero(chars.begins[inside])
    if len(starts) == 0:
        return np.zeros(0, dtype=np.uint64)
    codes = chars.codes[inside].astype(np.uint64)
    ends = np.append(starts[1:], len(codes))
    lengths = ends - starts
    places = np.repeat(ends, lengths) - np.arange(1, len(codes) + 1)
    powers = np.multiply.accumulate(np.append(np.uint64(1), np.full(int(lengths.max()) - 1, BASE)))
    return mix(np.add.reduceat(codes * powers[places], starts))


def ngram_hashes(units: np.ndarray, ngram: int) -> np.ndarray:
    """uint64 [max(0, U - ngram + 1)]: one hash a run of `ngram` units."""
    num_ngrams = len(units) - ngram + 1
    if num_ngrams <= 0:
        return np.zeros(0, dtype=np.uint64)
    total = np.zeros(num_ngrams, dtype=np.uint64)
    for offset in range(ngram):
        total *= BASE
        total += units[offset : offset + num_ngrams]
    return mix(total)


def band_keys(least: np.ndarray, num_bands: int) -> np.ndarray:
    """uint64 [N, B] of signatures (uint32 [N, H])."""
    bands = least.reshape(len(least), num_bands, -1).astype(np.uint64)
    keys = np.zeros(bands.shape[:2], dtype=np.uint64)
    for row in range(bands.shape[2]):
        keys *= BASE
        keys += bands[:, :, row]
    return mix(keys)


def minima(grams: np.ndarray, starts: np.ndarray, factors: np.ndarray, summands: np.ndarray) -> np.ndarray:
    """uint32 [N, H]: the least value of each hash function over each run of `grams` that begins at `starts`
    (int64 [N], ascending).
    """
    lanes = (grams >> np.uint64(32)).astype(np.uint32)
    least = np.empty((len(factors), len(starts)), dtype=np.uint32)
    hashes = np.empty_like(lanes)
    for row, (factor, summand) in enumerate(zip(factors, summands, strict=True)):
        np.multiply(lanes, factor, out=hashes)
        hashes += summand
        np.minimum.reduceat(hashes, starts, out=least[row])
    return least.T


def shingles(text: str, ngram: int) -> np.ndarray:
    """See `shingles.shingles`."""
    return np.unique(np.concatenate(list(_grams(text, ngram))))


def shingle_sets(data: np.ndarray, offsets: np.ndarray, ngram: int) -> Sets:
    """See `shingles.Hasher`."""
    pieces = (data[start:stop].tobytes() for start, stop in pairwise(offsets.tolist()))
    return Sets.joined([shingles(piece.decode(), ngram) for piece in pieces])


def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """See `shingles.jaccard`."""
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / (len(left) + len(right) - shared)


def settle(
    first: int,
    last: int,
    num_fixed: int,
    enters: bool,
    bounds: np.ndarray,
    own: np.ndarray,
    starts: np.ndarray,
    used: np.ndarray,
    slots: np.ndarray,
    seen: np.ndarray,
    survivors: np.ndarray,
    values: np.ndarray,
    ends: np.ndarray,
    places: np.ndarray,
    threshold: float,
) -> None:
    """See `survivors.Visits.settle`."""

    def of(document: int) -> np.ndarray:
        return values[ends[places[document]] : ends[places[document] + 1]]

    for document in range(first, last):
        buckets = own[bounds[document] : bounds[document + 1]]
        if document >= num_fixed and survivors[document] == document:
            staying = {
                other
                for bucket in buckets.tolist()
                for other in slots[starts[bucket] : starts[bucket] + used[bucket]].tolist()
                if places[other] >= 0
            }
            similar = (other for other in sorted(staying) if jaccard(of(other), of(document)) >= threshold)
            survivors[document] = next(similar, document)
        if enters and survivors[document] == document:
            slots[starts[buckets] + used[buckets]] = document
            used[buckets] += 1


def byte_hashes(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """See `shingles.Hasher`."""
    found = np.full((len(offsets) - 1, 2), (FIRST, SECOND), dtype=np.uint64)
    lengths = np.diff(offsets)
    for place in range(int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > place)
        values = data[offsets[longer] + place]
        found[longer, 0] = mix(found[longer, 0] + values)
        found[longer, 1] = (found[longer, 1] ^ values) * BASE
    found[:, 1] = mix(found[:, 1])
    return found


def tally(
    hashes: np.ndarray, firsts: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """See `shingles.Hasher`."""
    if not len(hashes):
        return hashes, firsts, counts
    order = np.argsort(hashes)
    hashes = hashes[order]
    starts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1]))
    return (
        hashes[starts],
        np.minimum.reduceat(firsts[order], starts),
        np.add.reduceat(counts[order], starts),
    )


def find(hashes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """See `shingles.Hasher`."""
    if not len(hashes):
        return np.full(len(wanted), -1)
    order = np.argsort(hashes)
    places = order[np.minimum(np.searchsorted(hashes, wanted, sorter=order), len(hashes) - 1)]
    return np.where(hashes[places] == wanted, places, -1)


def codes(hashes: np.ndarray) -> np.ndarray:
    """See `shingles.Hasher`."""
    return np.unique(hashes, return_inverse=True)[1].astype(np.int32)


def exact_hash(text: str) -> bytes:
    """See `shingles.exact_hash`."""
    sums, place, after_space = np.zeros(2, dtype=np.uint64), 0, False
    for chars in _pieces(text):
        values, _ = _character_hashes(
            chars.codes, np.zeros(1, np.int64), place=place, after_space=after_space
        )
        sums += (values.sum(), (values * values).sum())
        place += len(values)
        after_space = bool(spaces()[chars.codes[-1:]].all())
    return mix(sums).tobytes()


def fingerprints(
    texts: Sequence[str], factors: np.ndarray, summands: np.ndarray, num_bands: int, ngram: int
) -> Fingerprints:
    """Of N texts, with H hash functions (`factors`, `summands`: uint32 [H])."""
    found = Fingerprints.empty(len(texts), num_bands)
    family = factors, summands
    for start, end in _groups(texts):
        part = Fingerprints(found.exact[start:end], found.keys[start:end], found.has_keys[start:end])
        if end - start > 1 or len(texts[start]) <= BLOCK:
            _measure(texts[start:end], *family, ngram, part)
            continue
        part.exact[0] = np.frombuffer(exact_hash(texts[start]), dtype=np.uint64)
        parts = (grams for grams in _grams(texts[start], ngram) if len(grams))
        signatures = [minima(grams, np.zeros(1, np.int64), *family) for grams in parts]
        if signatures:
            part.keys[:] = band_keys(np.min(signatures, axis=0), num_bands)
            part.has_keys[:] = True
    return found


def _groups(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Ranges of texts of at most BLOCK characters, longer ones by themselves."""
    start = size = 0
    for place, text in enumerate(texts):
        if place > start and size + len(text) > BLOCK:
            yield start, place
            start, size = place, 0
        size += len(text)
    if start < len(texts):
        yield start, len(texts)


def _pieces(text: str) -> Iterator[Characters]:
    """Parts of a text, at least one, without case, that end between two units."""
    start = 0
    while True:
        end = start + BLOCK
        while end < len(text) and kinds()[folds()[ord(text[end])]] in (LETTER, DIGIT):
            end += 1
        yield characters(text[start:end], fold=True)
        start = end
        if start >= len(text):
            return


def _grams(text: str, ngram: int) -> Iterator[np.ndarray]:
    """Hashes of the n-grams that end in each piece of a text."""
    units = np.zeros(0, dtype=np.uint64)
    for chars in _pieces(text):
        units = np.concatenate([units, unit_hashes(chars)])
        yield ngram_hashes(units, ngram)
        units = units[max(0, len(units) - ngram + 1) :]


def _character_hashes(
    codes: np.ndarray, starts: np.ndarray, *, place: int, after_space: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the characters that are not white space (uint64), and where among them each text begins.

    A hash is of a code point, its place, and whether white space stands before it. Texts begin at `starts`
    and at place `place`, and behind white space if `after_space`.
    """
    is_space = spaces()[codes]
    visible = np.flatnonzero(~is_space)
    begins = np.searchsorted(visible, starts)
    values = codes[visible].astype(np.uint64)
    before = np.append(after_space, is_space[:-1])[visible]
    counts = np.diff(begins, append=len(visible))
    if place == 0:
        before[begins[counts > 0]] = False
    values |= before.astype(np.uint64) << np.uint64(21)
    places = np.arange(place, place + len(visible)) - np.repeat(begins, counts)
    values += places.astype(np.uint64) * BASE
    return mix(values), begins


def _measure(
    texts: Sequence[str], factors: np.ndarray, summands: np.ndarray, ngram: int, found: Fingerprints
) -> None:
    """Fills in the fingerprints of texts that are measured together, a line end between them."""
    chars = characters("\n".join(texts), fold=True)
    starts = np.cumsum([0, *(len(text) + 1 for text in texts[:-1])])
    values, begins = _character_hashes(chars.codes, starts, place=0, after_space=False)
    bounds = np.append(begins, len(values))
    for lane, summed in enumerate((values, values * values)):
        sums = np.append(np.uint64(0), np.cumsum(summed, dtype=np.uint64))[bounds]
        found.exact[:, lane] = mix(sums[1:] - sums[:-1])
    units = unit_hashes(chars)
    firsts = np.append(np.searchsorted(np.flatnonzero(chars.begins), starts), len(units))
    counts = np.maximum(np.diff(firsts) - ngram + 1, 0)
    found.has_keys[:] = counts > 0
    if not counts.any():
        return
    # An n-gram that reaches into the next text belongs to neither.
    offsets = np.cumsum(counts) - counts
    own = np.repeat(firsts[:-1] - offsets, counts) + np.arange(counts.sum())
    grams = ngram_hashes(units, ngram)[own]
    signatures = minima(grams, offsets[found.has_keys], factors, summands)
    found.keys[found.has_keys] = band_keys(signatures, found.keys.shape[1])
