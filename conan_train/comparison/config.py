"""Configuration of `conan-train compare`."""

import dataclasses
from typing import Annotated

from annotated_types import Ge, Gt, Lt, MinLen

from conan_data.config import StageConfig, require, source
from conan_data.fields import DISTINCT, NonNegativeInt


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareConfig(StageConfig):
    """Compare evaluations of one retrieval set, query by query: the others with the first, by language pair."""

    evaluations: Annotated[tuple[str, ...], MinLen(1), DISTINCT] = source()
    """Evaluation artifacts of the same set, split and protocol; the first is the baseline."""
    bootstrap: Annotated[int, Ge(100)] = 10_000
    """Resamples of the source queries behind intervals and p-values."""
    level: Annotated[float, Gt(0), Lt(1)] = 0.05
    """Largest adjusted p-value at which a difference is said to hold."""
    seed: NonNegativeInt = 1
    """Seed of the resamples."""
    title: str = "Comparison of evaluations"
    """Headline of the page."""

    def check(self) -> None:
        super().check()
        require(len(self.evaluations) > 1, "evaluations", self.evaluations, "name at least two")
