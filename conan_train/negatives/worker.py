"""A mining service beside the trainer, in an interpreter of its own: started, and started again when it dies.

A thread would share the trainer's interpreter lock, and a fork its CUDA context. The worker is the same service that
anybody may run by hand, on the device that is told.
"""

import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

log = logging.getLogger(__name__)

_LONGEST = 60.0
_PROGRAM = (
    "import sys; from pathlib import Path; from conan_data.command import configure_logging; configure_logging(); "
    "from conan_train.finetune.service import mine_service; "
    "from conan_train.negatives.config import MineServiceConfig; "
    "mine_service(MineServiceConfig(run=Path(sys.argv[1]), device=sys.argv[2], threads=int(sys.argv[3]), "
    "parent=int(sys.argv[4])))"
)
_TORCHRUN = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "GROUP_RANK",
)


@dataclass(kw_only=True)
class Worker:
    """Of the run that publishes to `out`; what it says is appended to `messages`."""

    out: Path
    device: str
    threads: int
    messages: Path
    process: subprocess.Popen[bytes] | None = None
    _pause: float = 1.0
    _next: float = 0.0

    def start(self) -> None:
        # What torchrun says to the trainer is not meant for it.
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in _TORCHRUN and not name.startswith(("TORCHELASTIC_", "ACCELERATE_"))
        }
        command = [sys.executable, "-c", _PROGRAM]
        command += [str(self.out.absolute()), self.device, str(self.threads), str(os.getpid())]
        with open(self.messages, "ab") as messages:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, env=env
            )

    def keep_alive(self) -> None:
        """Starts it again, later and later, where it has died."""
        if self.process is None or self.process.poll() is None:
            return
        now = time.monotonic()
        if not self._next:
            log.warning(
                "the mining worker ended with code %d and is started again; see %s",
                *(self.process.returncode, self.messages),
            )
            self._next = now + self._pause
        elif now >= self._next:
            self._next, self._pause = 0.0, min(2 * self._pause, _LONGEST)
            try:
                self.start()
            except OSError as error:
                log.warning("the mining worker cannot be started: %s", error.strerror)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def worker_device(device: str, *, num_processes: int, trains_on: str) -> str:
    """`device`, or for auto a GPU that none of the trainer's processes on this host uses, else the CPU."""
    if device != "auto":
        return device
    free = torch.cuda.device_count() if trains_on == "cuda" else 0
    return f"cuda:{free - 1}" if free > num_processes else "cpu"
