"""Configuration of `conan-train compare`."""

import dataclasses

from conan_data.config import StageConfig, require


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareConfig(StageConfig):
    """Compare evaluations of one retrieval set, query by query: the others with the first, by language pair."""

    evaluations: tuple[str, ...]
    """Evaluation artifacts of the same set, split and protocol; the first is the baseline."""
    bootstrap: int = 10_000
    """Resamples of the source queries behind intervals and p-values."""
    level: float = 0.05
    """Largest adjusted p-value at which a difference is said to hold."""
    seed: int = 1
    """Seed of the resamples."""
    title: str = "Comparison of evaluations"
    """Headline of the page."""

    def __post_init__(self) -> None:
        names = self.evaluations
        require(len(names) >= 2, "evaluations", names, "name at least two evaluations")
        require(len(set(names)) == len(names), "evaluations", names, "name each evaluation once")
        require(self.bootstrap >= 100, "bootstrap", self.bootstrap, "must be at least 100")
        require(0 < self.level < 1, "level", self.level, "must be between 0 and 1")
        require(self.seed >= 0, "seed", self.seed, "must not be negative")
