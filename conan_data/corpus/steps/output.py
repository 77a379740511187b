"""Writes the corpus: the record of drops is task 0, each file of documents one more."""

from pathlib import Path

import numpy as np

from conan_data.corpus.output.plan import Plan, numbers_path
from conan_data.corpus.output.shards import write_shard
from conan_data.corpus.output.trace import write_trace
from conan_data.corpus.passes import Pass
from conan_data.corpus.records import open_records
from conan_data.corpus.workspace import Workspace

QUARANTINE = "quarantine.jsonl"


class WriteOutput(Pass):
    """Writes `dropped.parquet` and `quarantine.jsonl`, and the files of `plan` below `data` and `index`."""

    name = "write output"

    def __init__(self, workspace: Workspace, plan: Plan, out: Path) -> None:
        super().__init__(workspace)
        self.plan, self.out = plan, out

    @property
    def num_tasks(self) -> int:
        return 1 + len(self.plan.shards)

    def result(self, rank: int) -> Path:
        return self.out / "dropped.parquet" if rank == 0 else self._shard("data", rank, "parquet")

    def made(self, rank: int) -> list[Path]:
        beside = self.out / QUARANTINE if rank == 0 else self._shard("index", rank, "arrow")
        return [self.result(rank), beside]

    def work(self, rank: int) -> None:
        if rank == 0:
            write_trace(self.workspace, self.result(rank), self.out / QUARANTINE)
            return
        lang, number = self.plan.shards[rank - 1]
        numbers = open_records(numbers_path(self.workspace, lang), np.int64)
        start = number * self.plan.shard_documents
        write_shard(
            self.workspace,
            numbers[start : start + self.plan.shard_documents],
            self.result(rank),
            self._shard("index", rank, "arrow"),
        )

    def _shard(self, folder: str, rank: int, ending: str) -> Path:
        lang, number = self.plan.shards[rank - 1]
        return self.out / folder / lang / f"part-{number:05d}.{ending}"
