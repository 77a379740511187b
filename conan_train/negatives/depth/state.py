"""What the refreshes of a run have encoded, below the run's folder, so that a killed run mines the same again.

A full refresh leaves the vectors of all documents in `base-<step>/`; every refresh, full or not, leaves one file
`step-<step>.safetensors` with the vectors it encoded itself and the pools of all queries. None of them is ever
changed. A run that goes on from a checkpoint before some refresh throws away what that refresh and later ones
left, and finds what the undisturbed run found there. The vectors of two full refreshes are kept: exact as long
as no more than one full refresh lies between two checkpoints; after that the next refresh is a full one.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from conan_data.files import sync_directory, write_durably
from conan_data.mining.selection import Pools

# R documents, D dimensions, Q queries, P places of a pool

_KEPT_BASES = 2
_NAME = re.compile(r"(?:step-(\d+)\.safetensors|base-(\d+))")


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """What one refresh leaves to the next."""

    step: int
    base: int
    """Step of the full refresh whose vectors of all documents it stands on; `step` itself after a full one."""
    row_R: np.ndarray
    """int64: documents that it encoded beyond the base."""
    vector_RD: np.ndarray
    """float16, at their weights."""
    pools: Pools
    """Of all queries."""


class RefreshStore:
    """The files of one task's refreshes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def base(self, step: int) -> Path:
        """Where the vectors of all documents of the full refresh at `step` are, or are to be."""
        return self.folder / f"base-{step:08d}"

    def before(self, step: int) -> list[Refreshed]:
        """The refreshes since the newest full one before `step`, that one first; empty where it is not whole. What
        is there of `step` and later is of a run that was killed; it is removed, but for the vectors of a full
        refresh at `step` itself, which an interrupted one goes on with.
        """
        for path, at in self._entries():
            if at > step or (at == step and path.is_file()):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        steps = sorted(at for path, at in self._entries() if path.is_file() and at < step)
        found = [self._read(at) for at in steps]
        newest = found[-1] if found else None
        if newest is None or any(refreshed is None for refreshed in found):
            return []
        since = [refreshed for refreshed in found if refreshed and refreshed.base == newest.base]
        return since if since[0].step == newest.base and self.base(newest.base).is_dir() else []

    def add(self, refreshed: Refreshed) -> None:
        """Appears whole; then what no refresh can need any more goes."""
        pools = refreshed.pools
        assert pools.reasons is not None, "a selection says why each negative is in its pool"
        tensors = {
            "base": np.array(refreshed.base, np.int64),
            "row_R": refreshed.row_R,
            "vector_RD": np.ascontiguousarray(refreshed.vector_RD, np.float16),
            "pool_row_QP": pools.rows,
            "pool_score_QP": pools.scores,
            "pool_rank_QP": pools.ranks,
            "pool_reason_QP": pools.reasons,
            "positive_score_Q": pools.positive_scores,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        write_durably(self._file(refreshed.step), save(tensors))
        sync_directory(self.folder)
        bases = sorted(at for path, at in self._entries() if path.is_dir())
        for path, at in self._entries():
            if len(bases) > _KEPT_BASES and at < bases[-_KEPT_BASES]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _file(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.safetensors"

    def _entries(self) -> list[tuple[Path, int]]:
        paths = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        matches = [(path, _NAME.fullmatch(path.name)) for path in paths]
        return [(path, int(match[1] or match[2])) for path, match in matches if match]

    def _read(self, step: int) -> Refreshed | None:
        try:
            tensors = load_file(self._file(step))
        except (SafetensorError, OSError):
            return None
        return Refreshed(
            step=step,
            base=int(tensors["base"]),
            row_R=tensors["row_R"],
            vector_RD=tensors["vector_RD"],
            pools=Pools(
                rows=tensors["pool_row_QP"],
                scores=tensors["pool_score_QP"],
                ranks=tensors["pool_rank_QP"],
                positive_scores=tensors["positive_score_Q"],
                counts={},
                reasons=tensors["pool_reason_QP"],
            ),
        )
