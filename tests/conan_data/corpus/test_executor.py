import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.corpus.executor import Executor
from conan_data.errors import UserError


class Touch(PipelineStep):
    """Leaves a file named by its rank; rank 1 fails in the way that is asked for."""

    name, type = "touch", "test"

    def __init__(self, folder: Path, failure: str = "") -> None:
        super().__init__()
        self.folder, self.failure = folder, failure

    def run(self, data: Iterator[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        if rank == 1 and self.failure == "error":
            raise KeyError("rank 1")
        if rank == 1 and self.failure == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / str(rank)).touch()
        yield from ()


def executor(folder: Path, workers: int, failure: str = "") -> Executor:
    done = folder / "done"
    done.mkdir()
    return Executor([Touch(done, failure)], tasks=4, workers=workers, logging_dir=folder / "log")


@pytest.mark.parametrize("workers", [1, 2])
def test_runs_the_ranks_that_it_is_given(
    tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = executor(tmp_path, workers)
    runner.run_ranks([0, 3])
    runner.run_ranks([])
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["0", "3"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_out_as_it_is(tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError, match="rank 1"):
        executor(tmp_path, workers, "error").run_ranks([0, 1, 2])
    assert capfd.readouterr() == ("", "")


def test_a_killed_worker_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="workers: one of 2 worker processes was killed"):
        executor(tmp_path, 2, "kill").run_ranks([0, 1, 2])
