"""When two documents count as one."""

import dataclasses

from conan_data.config import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class DedupConfig:
    """MinHash with banding finds candidates; the exact Jaccard similarity of their shingles decides."""

    num_bands: int = 14
    """Bands of a signature; two documents with one equal band are candidates."""
    rows_per_band: int = 8
    """Hashes of a band; more of them need a higher similarity to be found."""
    ngram: int = 5
    """Units (words, or letters of scripts without spaces) of a shingle."""
    threshold: float = 0.8
    """Smallest Jaccard similarity of two documents' shingles at which the second one is dropped."""
    seed: int = 1
    """Seed of the hash functions."""

    def __post_init__(self) -> None:
        for field in ("num_bands", "rows_per_band", "ngram"):
            require(getattr(self, field) >= 1, f"dedup.{field}", getattr(self, field), "must be at least 1")
        require(0 < self.threshold <= 1, "dedup.threshold", self.threshold, "must be above 0 and at most 1")
        require(self.seed >= 0, "dedup.seed", self.seed, "must not be negative")
