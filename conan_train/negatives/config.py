"""When a negative is replaced by the next of its query's pool, and what a mining service is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from conan_data.config import require


@dataclass(frozen=True, kw_only=True)
class RuleConfig:
    """Thresholds of the rule in `conan_train.negatives.rule`; the defaults are those of Conan-embedding-v2. Those of
    v1 are every 100, ratio 1.15, ceiling 0.8.
    """

    version: Literal["v2", "v1"] = "v2"
    """v2 replaces a negative by the next of the pool; v1 replaces all of a query's negatives at once, the i-th time
    by those of ranks (i-1)*n+10 to i*n+10, and has no floor.
    """
    every: int = 1
    """Steps between two checks."""
    first_rank: int = 10
    """v1: the 10 of its rank window."""
    enabled: bool = True
    """Check the negatives of a step with the scores of its loss, and replace those that have become easy."""
    floor: float = 0.4
    """A negative that scored below this when it was chosen is replaced."""
    ratio: float = 1.2
    """A negative whose score has fallen by more than this factor is replaced, if it is also below the
    ceiling.
    """
    ceiling: float = 0.7
    """A negative that still scores at least this is kept, however far it has fallen."""

    def __post_init__(self) -> None:
        require(self.every >= 1, "rule.every", self.every, "must be at least 1")
        require(self.first_rank >= 0, "rule.first_rank", self.first_rank, "must not be negative")
        require(-1 <= self.floor <= 1, "rule.floor", self.floor, "must be a cosine, -1 to 1")
        require(self.ratio >= 1, "rule.ratio", self.ratio, "must be at least 1")
        require(-1 <= self.ceiling <= 1, "rule.ceiling", self.ceiling, "must be a cosine, -1 to 1")


@dataclass(frozen=True, kw_only=True)
class MineServiceConfig:
    """Mine negatives for a fine-tuning that runs with mine_mode service, here or on another host."""

    run: Path
    """Directory that the fine-tuning publishes to (its out), on a file system that both see."""
    device: str = "auto"
    """Where to encode and search: auto, cpu, cuda, cuda:1, mps."""
    threads: int = 0
    """CPU threads of the framework, 0 for its own choice."""
    once: bool = False
    """End after one refresh."""
    poll: float = 2.0
    """Seconds between two looks for new weights."""
    wait: float = 600.0
    """Seconds to wait for the run to begin."""
    parent: int = 0
    """Process that this one must not outlive; 0 for none."""

    def __post_init__(self) -> None:
        require(self.threads >= 0, "threads", self.threads, "must not be negative")
        require(self.poll > 0, "poll", self.poll, "must be over 0")
        require(self.wait >= 0, "wait", self.wait, "must not be negative")
