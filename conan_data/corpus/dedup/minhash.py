"""MinHash signatures cut into bands: similar texts share a band's key, so that only texts with an equal key
need comparing.

The chance that two texts of Jaccard similarity s share one of b keys of r hashes is 1 - (1 - s^r)^b (Broder
1997; Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", 3.4). Hash functions are multiply-shift,
(a x + c) mod 2^64 with a odd, drawn from a seeded generator; the top bits of the minimum serve. A key is only
a reason to compare; whether two texts are duplicates is decided on their shingles.

Shapes: S shingles, H hashes = num_bands * rows_per_band.
"""

from dataclasses import dataclass

import numpy as np

from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.shingles import mix

BLOCK = 2048
"""Shingles hashed at a time, so that the scratch memory of a text does not grow with its length."""


@dataclass(frozen=True)
class MinHash:
    """A family of H hash functions, as columns of factors and summands (uint64 [H, 1])."""

    factors: np.ndarray
    summands: np.ndarray
    num_bands: int

    @classmethod
    def from_config(cls, config: DedupConfig) -> "MinHash":
        num_hashes = config.num_bands * config.rows_per_band
        drawn = np.random.default_rng(config.seed).integers(
            0, 2**64, size=(2, num_hashes, 1), dtype=np.uint64
        )
        return cls(drawn[0] | np.uint64(1), drawn[1], config.num_bands)

    def signature(self, shingles: np.ndarray) -> np.ndarray:
        """uint32 [H] of at least one shingle (uint64 [S]): equal entries of two signatures estimate their
        Jaccard similarity.
        """
        least = np.full(len(self.factors), np.iinfo(np.uint64).max, dtype=np.uint64)
        for start in range(0, len(shingles), BLOCK):
            hashes = self.factors * shingles[start : start + BLOCK]
            hashes += self.summands
            np.minimum(least, hashes.min(axis=1), out=least)
        return (least >> np.uint64(32)).astype(np.uint32)

    def band_keys(self, shingles: np.ndarray) -> np.ndarray:
        """uint64 [num_bands], one key a band; keys are compared within a band only."""
        bands = self.signature(shingles).reshape(self.num_bands, -1).astype(np.uint64)
        keys = np.zeros(self.num_bands, dtype=np.uint64)
        for column in bands.T:
            keys = mix(keys + column + np.uint64(0x9E3779B97F4A7C15))
        return keys
