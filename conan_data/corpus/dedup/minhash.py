"""MinHash signatures cut into bands: similar texts share a band's key, so that only texts with an equal key
need comparing.

The chance that two texts of Jaccard similarity s share one of b keys of r hashes is 1 - (1 - s^r)^b (Broder
1997; Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", 3.4). Hash functions are (a x + c) mod 2^32
with a odd, drawn from a seeded generator, of the upper half x of a shingle: 32 bits are enough for a minimum,
and twice as many fit in a vector register. A key is only a reason to compare; whether two texts are duplicates
is decided on their shingles.

Shapes: N texts, S shingles, B bands, H hashes = num_bands * rows_per_band.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from conan_data.corpus.dedup import arrays
from conan_data.corpus.dedup.arrays import Fingerprints
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.shingles import hasher


@dataclass(frozen=True)
class MinHash:
    """A family of H hash functions (factors and summands, uint32 [H]) for shingles of `ngram` units."""

    factors: np.ndarray
    summands: np.ndarray
    num_bands: int
    ngram: int

    @classmethod
    def from_config(cls, config: DedupConfig) -> "MinHash":
        num_hashes = config.num_bands * config.rows_per_band
        drawn = np.random.default_rng(config.seed).integers(0, 2**32, size=(2, num_hashes), dtype=np.uint32)
        return cls(drawn[0] | np.uint32(1), drawn[1], config.num_bands, config.ngram)

    def signature(self, shingles: np.ndarray) -> np.ndarray:
        """uint32 [H] of at least one shingle (uint64 [S]): equal entries of two signatures estimate their
        Jaccard similarity.
        """
        return arrays.minima(shingles, np.zeros(1, dtype=np.int64), self.factors, self.summands)[0]

    def band_keys(self, shingles: np.ndarray) -> np.ndarray:
        """uint64 [B] of at least one shingle, one key a band; keys are compared within a band only."""
        return arrays.band_keys(self.signature(shingles)[None], self.num_bands)[0]

    def band_keys_of(self, text: str) -> np.ndarray | None:
        """uint64 [B] of a text; None for one without shingles."""
        found = self.fingerprints([text])
        return found.keys[0] if found.has_keys[0] else None

    def fingerprints(self, texts: Sequence[str]) -> Fingerprints:
        """Exact hashes and band keys of N texts; hundreds in a call are several times as fast as one."""
        return hasher().fingerprints(texts, self.factors, self.summands, self.num_bands, self.ngram)
