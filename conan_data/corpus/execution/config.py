"""Where the tasks of a corpus run. Nothing here changes what is written.

`tasks` and `workers` of the corpus config say how the work is cut and how many tasks run at once, whatever the
kind. The fields of another kind are not looked at, so a recipe for a cluster is tried on one machine with
`--executor.kind local`.
"""

import dataclasses
import re
from typing import Annotated, Literal

from conan_data.config import Config, MemoryOrEmpty, parse_memory
from conan_data.fields import Count, PositiveFloat, Rule

TIME = Rule(
    'must be hours:minutes:seconds, in a recipe between quotes, such as "24:00:00"',
    lambda text: re.fullmatch(r"(\d+-)?\d+:\d\d(:\d\d)?", text) is not None,
)
DASHES = Rule("write each as --name=value", lambda texts: all(text.startswith("-") for text in texts))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExecutorConfig(Config):
    """Processes of this machine, a Ray cluster, or Slurm. On a cluster, input and `out` lie on a file system that
    all nodes share.
    """

    kind: Literal["local", "ray", "slurm"] = "local"
    """Where tasks run."""
    cpus_per_task: Count = 1
    """Ray, Slurm: cores that a task takes."""
    memory_per_task: MemoryOrEmpty = "4GB"
    """Ray, Slurm: memory that a task takes, by which tasks are placed; Slurm ends one that takes more. Empty: not
    said.
    """
    address: str = "auto"
    """Ray: `host:port` of a running cluster, `auto` to find the one of this machine, `local` to start one here."""
    partition: str = ""
    """Slurm: partition; empty: the default one."""
    time: Annotated[str, TIME] = "24:00:00"
    """Slurm: time limit of one task."""
    qos: str = ""
    """Slurm: quality of service; empty: the default one."""
    max_array: Count = 1000
    """Slurm: tasks in one array job; the cluster's `MaxArraySize` less 1 at most."""
    sbatch_args: Annotated[tuple[str, ...], DASHES] = ()
    """Slurm: further arguments of `sbatch`, such as `--account=NAME`."""
    setup: str = ""
    """Slurm: shell lines that run on the node before a task, such as `module load python`."""
    python: str = ""
    """Slurm: interpreter that runs a task; empty: the one that runs this command."""
    poll_seconds: PositiveFloat = 10.0
    """Slurm: time between two questions to the queue."""

    @property
    def memory_bytes(self) -> int:
        """Memory of a task; 0 where it is not said."""
        return parse_memory(self.memory_per_task) if self.memory_per_task else 0
