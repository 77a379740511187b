"""Where the tasks of a corpus run. Nothing here changes what is written.

`tasks` and `workers` of the corpus config say how the work is cut and how many tasks run at once, whatever the
kind. The fields of another kind are not looked at, so a recipe for a cluster is tried on one machine with
`--executor.kind local`.
"""

import dataclasses
import re
from typing import Literal

from conan_data.config import parse_memory, require
from conan_data.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExecutorConfig:
    """Processes of this machine, a Ray cluster, or Slurm. On a cluster, input and `out` lie on a file system that
    all nodes share.
    """

    kind: Literal["local", "ray", "slurm"] = "local"
    """Where tasks run."""
    cpus_per_task: int = 1
    """Ray, Slurm: cores that a task takes."""
    memory_per_task: str = "4GB"
    """Ray, Slurm: memory that a task takes, by which tasks are placed; Slurm ends one that takes more. Empty: not
    said.
    """
    address: str = "auto"
    """Ray: `host:port` of a running cluster, `auto` to find the one of this machine, `local` to start one here."""
    partition: str = ""
    """Slurm: partition; empty: the default one."""
    time: str = "24:00:00"
    """Slurm: time limit of one task."""
    qos: str = ""
    """Slurm: quality of service; empty: the default one."""
    max_array: int = 1000
    """Slurm: tasks in one array job; the cluster's `MaxArraySize` less 1 at most."""
    sbatch_args: tuple[str, ...] = ()
    """Slurm: further arguments of `sbatch`, such as `--account=NAME`."""
    setup: str = ""
    """Slurm: shell lines that run on the node before a task, such as `module load python`."""
    python: str = ""
    """Slurm: interpreter that runs a task; empty: the one that runs this command."""
    poll_seconds: float = 10.0
    """Slurm: time between two questions to the queue."""

    def __post_init__(self) -> None:
        require(self.cpus_per_task >= 1, "executor.cpus_per_task", self.cpus_per_task, "must be at least 1")
        try:
            parse_memory(self.memory_per_task or "1")
        except UserError as error:
            raise UserError(str(error).replace("memory", "executor.memory_per_task", 1)) from None
        require(
            re.fullmatch(r"(\d+-)?\d+:\d\d(:\d\d)?", self.time) is not None,
            "executor.time",
            self.time,
            'must be hours:minutes:seconds, in a recipe between quotes, such as "24:00:00"',
        )
        require(self.max_array >= 1, "executor.max_array", self.max_array, "must be at least 1")
        require(self.poll_seconds > 0, "executor.poll_seconds", self.poll_seconds, "must be above 0")
        require(
            all(arg.startswith("-") for arg in self.sbatch_args),
            "executor.sbatch_args",
            self.sbatch_args,
            "write each as --name=value",
        )

    @property
    def memory_bytes(self) -> int:
        """Memory of a task; 0 where it is not said."""
        return parse_memory(self.memory_per_task) if self.memory_per_task else 0
