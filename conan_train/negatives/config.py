"""When a negative is replaced by the next of its query's pool, and what a mining service is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge

from conan_data.config import Config
from conan_data.fields import Cosine, Count, NonNegativeFloat, NonNegativeInt, PositiveFloat, Rule


@dataclass(frozen=True, kw_only=True)
class RuleConfig(Config):
    """Thresholds of the rule in `conan_train.negatives.rule`; None stands for that of the version's paper."""

    version: Literal["v2", "v1"] = "v2"
    """Conan-embedding v2 replaces each negative that has become easy by the next of the pool. v1 looks at the mean
    of a query's n negatives and replaces all, the i-th time by the ranks (i-1)*n+10 to i*n+10 of the pool; it has no
    floor.
    """
    every: Count | None = None
    """Steps between two checks; None for 1 in v2 and 100 in v1."""
    first_rank: Count = 10
    """v1: the 10 of its windows."""
    enabled: bool = True
    """Check the negatives of a step with the scores of its loss, and replace those that have become easy."""
    floor: Cosine = 0.4
    """v2: a negative that scored below this when it was chosen is replaced."""
    ratio: Annotated[float, Ge(1)] | None = None
    """A negative whose score has fallen by more than this factor is replaced, if it is also below the ceiling;
    None for 1.2 in v2 and 1.15 in v1.
    """
    ceiling: Cosine | None = None
    """A negative that still scores at least this is kept, however far it has fallen; None for 0.7 in v2 and
    0.8 in v1.
    """

    @property
    def fall(self) -> float:
        """`ratio`, or that of the version."""
        return self.ratio if self.ratio is not None else {"v1": 1.15, "v2": 1.2}[self.version]

    @property
    def top(self) -> float:
        """`ceiling`, or that of the version."""
        return self.ceiling if self.ceiling is not None else {"v1": 0.8, "v2": 0.7}[self.version]

    def is_due(self, step: int) -> bool:
        """Whether the negatives of step `step` are checked after it."""
        return (step + 1) % (self.every or {"v1": 100, "v2": 1}[self.version]) == 0


@dataclass(frozen=True, kw_only=True)
class MineServiceConfig(Config):
    """Mine negatives for a fine-tuning that runs with mine_mode service, here or on another host."""

    run: Annotated[
        Path, Rule("must name the folder that the fine-tuning publishes to", lambda path: bool(path.name))
    ]
    """Directory that the fine-tuning publishes to (its out), on a file system that both see."""
    device: str = "auto"
    """Where to encode and search: auto, cpu, cuda, cuda:1, mps."""
    threads: NonNegativeInt = 0
    """CPU threads of the framework, 0 for its own choice."""
    once: bool = False
    """End after one refresh."""
    poll: PositiveFloat = 2.0
    """Seconds between two looks for new weights."""
    wait: NonNegativeFloat = 600.0
    """Seconds to wait for the run to begin."""
    parent: NonNegativeInt = 0
    """Process that this one must not outlive; 0 for none."""
