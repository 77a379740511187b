"""What fine-tuning is told."""

from dataclasses import dataclass, field
from typing import Literal

from conan_data.config import Memory, execution, require
from conan_data.fields import Count, FileName, NonNegativeInt, PositiveFloat
from conan_data.inputs import DataPath, SomeDataPaths
from conan_data.mining.config import SelectionConfig
from conan_train.embedding.config import EmbeddingConfig
from conan_train.negatives.config import RuleConfig
from conan_train.negatives.depth.config import RefreshConfig
from conan_train.tasks.config import ClassificationConfig, StsConfig


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(EmbeddingConfig):
    """Train an embedding model on retrieval sets with mined negatives, and on labelled and scored texts beside."""

    data: SomeDataPaths
    """Retrieval sets (directories), cross-lingual ones too, or `sample`; several are joined into one."""
    split: FileName = "train"
    """Split of the sets that is trained on."""
    homogeneous: tuple[Literal["source", "language"], ...] = ()
    """A batch holds queries of one set, one language, or one of both; what fills no batch is left out."""
    weight: PositiveFloat = 1.0
    """Weight of retrieval's loss, or of its turns, beside the other tasks."""
    negatives: DataPath = ""
    """Negatives artifact to begin with; without one they are mined before the first step if mine_every is not
    0.
    """
    num_negatives: NonNegativeInt = 7
    """Mined negatives a query trains on at a time. They come from mine_every or negatives; without either the other
    documents of a step are all there is.
    """
    mine_every: NonNegativeInt = 0
    """Mine the negatives anew with the current weights every so many steps; 0 for never."""
    mine_mode: Literal["inline", "process", "service"] = "inline"
    """Where to mine: inline (training waits, and can be resumed bit by bit), process (a worker beside the trainer), or
    service (conan-train mine-service, on any host). In the last two training goes on meanwhile, at first
    without mined negatives.
    """
    mine_device: str = execution("auto")
    """process: device of the worker: cpu, cuda:1, ...; auto is a GPU that no process trains on, else the CPU."""
    mine_look_every: Count = execution(10)
    """process, service: steps between two looks for new negatives."""
    mine_stale_after: NonNegativeInt = execution(0)
    """process, service: warn when the weights that chose the negatives are this many steps old; 0 for three times
    mine_every.
    """
    select: SelectionConfig = field(default_factory=SelectionConfig)
    """Filters and pool size of that mining."""
    refresh: RefreshConfig = field(default_factory=RefreshConfig)
    """How much of the set these minings encode after the first."""
    rule: RuleConfig = field(default_factory=RuleConfig)
    """Which negatives are replaced by the next of their pool, checked every step."""
    classification: ClassificationConfig = field(default_factory=ClassificationConfig)
    """A task of labelled texts beside retrieval."""
    sts: StsConfig = field(default_factory=StsConfig)
    """A task of scored pairs beside retrieval."""
    mix: Literal["every-step", "in-turns"] = "every-step"
    """Whether every step trains on all tasks, their losses summed by weight, or on one of them in turn."""
    memory: Memory = execution("2GB")
    """Working memory of a mining's search."""

    @property
    def has_negatives(self) -> bool:
        """Whether num_negatives has a source: negatives that are given, or mined while training."""
        return self.num_negatives > 0 and (self.mine_every > 0 or bool(self.negatives))

    def check(self) -> None:
        super().check()
        require(
            self.mine_mode == "inline" or self.mine_every > 0,
            "mine_every",
            self.mine_every,
            f"must be at least 1 with mine_mode {self.mine_mode}",
        )
        for name in ("mine_every", "negatives"):
            require(
                not getattr(self, name) or self.num_negatives > 0,
                "num_negatives",
                self.num_negatives,
                f"must be at least 1 with {name}",
            )
        require(
            self.batch_size >= 2 or self.has_negatives,
            "batch_size",
            self.batch_size,
            "must be at least 2 without mined negatives: the others are the negatives",
        )
