"""What the passes after the first share: where everything lies, what it may cost, and the state of documents.

A number below `first_reference` is a row of the input (see `order`), one from there on a document of a set
that the corpus is held against (see `dedup.reference`).
"""

import dataclasses
from functools import lru_cache
from pathlib import Path

import numpy as np

from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.reference import Reference, References
from conan_data.corpus.dedup.spill import Spill
from conan_data.corpus.order import Order
from conan_data.corpus.parts import Parts
from conan_data.corpus.records import open_records

FACTS = np.dtype([("preference", "u8"), ("characters", "i8"), ("bytes", "i8"), ("lang", "u2")])
"""What the passes need of a document at every turn; `lang` is a place in a list of languages."""
PAIR = np.dtype([("number", "i8"), ("target", "i8")])


@dataclasses.dataclass(frozen=True)
class Workspace:
    """Light, so that it can be sent to a worker; `opened` gives what is in it."""

    folder: Path
    """Where the parts lie."""
    num_parts: int
    dedup: DedupConfig
    references: tuple[Reference, ...]
    bits: int
    """Spilled records are cut into two to the power of `bits` partitions."""
    worker_bytes: int
    """Memory of one worker."""
    stamp: int
    """When the order of the rows was written: tells this workspace from an earlier one of the same place."""

    @property
    def scratch(self) -> Path:
        """Files of the passes; another number of partitions has other ones."""
        return self.folder / f"dedup-{self.bits}"

    @property
    def num_partitions(self) -> int:
        return 1 << self.bits

    @property
    def stages(self) -> tuple[str, ...]:
        """The kinds of equal hashes that are looked for before near duplicates, in this order."""
        return ("exact", "url") if self.dedup.url else ("exact",)

    @property
    def buffer_bytes(self) -> int:
        """Records that a worker collects before it writes them; it holds them four times while it sorts."""
        return min(self.worker_bytes // 16, 1 << 26)

    def path(self, name: str, number: int) -> Path:
        """The file that one task leaves."""
        return self.scratch / f"{name}-{number:05d}"

    def spill(self, name: str, num_files: int, dtype: np.dtype) -> Spill:
        return Spill([self.path(name, number) for number in range(num_files)], dtype, self.bits)

    def max_records(self, dtype: np.dtype) -> int:
        """Records of a partition that are held at a time; grouping takes about six times their bytes."""
        return max(1024, self.worker_bytes // (8 * dtype.itemsize))


class Opened:
    """The parts, their order and the references of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.parts = Parts(workspace.folder, workspace.num_parts)
        self.order = Order(workspace.folder)
        self.first_reference = len(self.order)
        self.references = References(workspace.references, self.first_reference)
        self.num_numbers = self.first_reference + self.references.num_documents

    def ids(self, numbers: np.ndarray) -> list[str]:
        """Ids of documents of the input, as they were given."""
        return self.parts.values("id", self.order.positions[numbers])


@lru_cache(maxsize=1)
def opened(workspace: Workspace) -> Opened:
    """Opens a workspace, once a process."""
    return Opened(workspace)


def facts(workspace: Workspace) -> np.ndarray:
    """`FACTS` of the kept rows, by position."""
    return open_records(workspace.scratch / "facts", FACTS)


def survivors(workspace: Workspace, stage: str) -> np.ndarray:
    """int64 [numbers]: the document that stays in the stead of each, as `stage` left it."""
    return open_records(workspace.scratch / f"survivors-{stage}", np.int64)
