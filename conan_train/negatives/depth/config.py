"""How much of a set a refresh of negatives encodes."""

from dataclasses import dataclass
from typing import Literal

from conan_data.config import require


@dataclass(frozen=True, kw_only=True)
class RefreshConfig:
    """Depth of the refreshes after the first one, which encodes everything."""

    depth: Literal["window", "full"] = "window"
    """window: the queries of the steps to the next refresh, and the documents on which their negatives hang, the
    other vectors carried over by a map; full: everything.
    """
    budget: float = 0.1
    """window: work of a refresh as a share of the training between two. A set that is encoded as a whole for less
    is.
    """
    full_up_to: int = 2000
    """window: a set of so many documents and fewer is encoded as a whole, whatever the budget."""
    sample: int = 4096
    """window: documents encoded at every refresh, to fit the map and to measure the drift; at most half the budget."""
    max_error: float = 0.2
    """window: everything is encoded again where carried vectors are further than this from today's (1 - cosine, on
    documents of the sample that the map was not fitted on).
    """

    def __post_init__(self) -> None:
        require(self.depth in ("window", "full"), "refresh.depth", self.depth, "must be window or full")
        require(self.budget > 0, "refresh.budget", self.budget, "must be over 0")
        require(self.full_up_to >= 0, "refresh.full_up_to", self.full_up_to, "must not be negative")
        require(self.sample >= 2, "refresh.sample", self.sample, "must be at least 2")
        require(0 < self.max_error <= 2, "refresh.max_error", self.max_error, "must be over 0 and at most 2")
