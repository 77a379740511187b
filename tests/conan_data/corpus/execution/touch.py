"""A pass that leaves one file a task, and whose task 1 fails in the way that is asked for."""

import errno
import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from conan_data.errors import UserError


class StrangeError(Exception):
    """Cannot be built again from what pickle keeps of it."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"strange {reason}")


class Touch(PipelineStep):
    name, type = "touch", "test"

    def __init__(self, folder: Path, failure: str, seconds: float) -> None:
        super().__init__()
        self.folder, self.failure, self.seconds = folder, failure, seconds

    def run(self, data: Iterator[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        (self.folder / f"pid-{rank}-{os.getpid()}").write_text(str(os.getppid()))
        if rank == 1:
            self.fail()
        time.sleep(self.seconds)
        (self.folder / f"done-{rank}").touch()
        yield from ()

    def fail(self) -> None:
        match self.failure:
            case "error":
                raise KeyError("rank 1")
            case "user":
                raise UserError("input: no such file")
            case "strange":
                raise StrangeError(reason="enough")
            case "full":
                raise OSError(errno.ENOSPC, "No space left on device", "parts/kept")
            case "memory":
                _, most = resource.getrlimit(resource.RLIMIT_AS)
                resource.setrlimit(resource.RLIMIT_AS, (4 << 30, most))
                bytearray(64 << 30)
            case "kill" | "abort" as how:
                time.sleep(0.5)
                os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGABRT)
            case "exit":
                os._exit(3)
            case "kill once":
                if len(list(self.folder.glob("pid-1-*"))) == 1:
                    os.kill(os.getpid(), signal.SIGKILL)


def touch(folder: Path, *, failure: str = "", seconds: float = 0.0) -> list[PipelineStep]:
    (folder / "made").mkdir(exist_ok=True)
    return [Touch(folder / "made", failure, seconds)]


def made(folder: Path) -> list[int]:
    """The tasks that came to their end."""
    return sorted(int(path.name.split("-")[1]) for path in (folder / "made").glob("done-*"))


def processes(folder: Path) -> set[int]:
    """The processes that began a task."""
    return {int(path.name.split("-")[2]) for path in (folder / "made").glob("pid-*")}


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
