"""When a negative is replaced by the next of its query's pool."""

from dataclasses import dataclass

from conan_data.config import require


@dataclass(frozen=True, kw_only=True)
class RuleConfig:
    """Thresholds of the rule in `conan_train.negatives.rule`; the defaults are those of Conan-embedding-v2."""

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
        require(-1 <= self.floor <= 1, "rule.floor", self.floor, "must be a cosine, -1 to 1")
        require(self.ratio >= 1, "rule.ratio", self.ratio, "must be at least 1")
        require(-1 <= self.ceiling <= 1, "rule.ceiling", self.ceiling, "must be a cosine, -1 to 1")
