"""Tasks on a Ray cluster.

datatrove's own Ray executor runs a task in a pool of processes inside an actor, which waits for ever when one of
them is killed, and it ends as if all were well when tasks fail. Here a task of ours is a task of Ray, so Ray
sees its process die. A task whose process or node is lost is started once more, as machines of a cluster come
and go; the second loss, and any error of a task, ends the run.
"""

import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conan_data.corpus.execution import remote
from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.execution.description import TaskSet
from conan_data.errors import UnfinishedError

log = logging.getLogger(__name__)
ATTEMPTS = 2
SECONDS_BETWEEN_LOOKS = 10.0
SECONDS_TO_ANSWER = 20.0


def run_on_ray(
    work: TaskSet, ranks: Sequence[int], logging_dir: Path, *, workers: int, config: ExecutorConfig
) -> Generator[int, None, None]:
    """Runs the tasks, up to `workers` at a time, and yields each one that is done."""
    with _connected(config, workers) as ray:
        folder = remote.describe(work, logging_dir)
        start = _remote_task(ray, config)
        waiting, lost = deque(ranks), Counter[int]()
        running: dict[Any, int] = {}
        while waiting or running:
            while waiting and len(running) < workers:
                rank = waiting.popleft()
                running[start.remote(str(folder), rank)] = rank
            _check_room(ray, config)
            ended, _ = ray.wait(list(running), num_returns=1, timeout=SECONDS_BETWEEN_LOOKS)
            for reference in ended:
                rank = running.pop(reference)
                where = work.task(rank)
                if _is_lost(ray, reference, where):
                    lost[rank] += 1
                    if lost[rank] == ATTEMPTS:
                        raise UnfinishedError(
                            f"executor: {where}: its process or node was lost {ATTEMPTS} times, most often for lack of memory; "
                            "raise executor.memory_per_task, or cut the input into more tasks"
                        )
                    log.warning("%s: its process or node was lost; starting it again", where)
                    waiting.append(rank)
                    continue
                if remote.wait_until_ended(folder, [rank]):
                    raise remote.not_shared(folder, where)
                if failure := remote.failure_of(folder, rank):
                    raise failure.error(where)
                yield rank


@contextmanager
def _connected(config: ExecutorConfig, workers: int) -> Iterator[Any]:
    """Ray, connected to the cluster; the connection is closed after it, which ends the tasks that still run."""
    # Ray sends usage statistics from a cluster that is started here, unless told not to before it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UnfinishedError(
            "executor: kind ray needs the package ray: pip install 'conan-embed[ray]'"
        ) from None
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    if config.address == "local":
        options |= {
            "num_cpus": workers * config.cpus_per_task,
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
        }
    _check_address(config.address)
    try:
        ray.init(address=config.address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnfinishedError(f"executor.address: no Ray cluster at {config.address!r} ({reason})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Ray itself looks for ten minutes before it says that nobody answers there."""
    host, _, port = address.rpartition(":")
    if address in ("auto", "local"):
        return
    if not host or not port.isdecimal():
        raise UnfinishedError(f"executor.address: must be auto, local or host:port, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise UnfinishedError(f"executor.address: no Ray cluster at {address!r} ({error})") from error


def _remote_task(ray: Any, config: ExecutorConfig) -> Any:
    options: dict[str, Any] = {
        "num_cpus": config.cpus_per_task,
        "max_retries": 0,
        "scheduling_strategy": "SPREAD",
    }
    if config.memory_bytes:
        options["memory"] = config.memory_bytes
    return ray.remote(run_on_node).options(**options)


def run_on_node(folder: str, rank: int) -> None:
    """What a worker of Ray does for a task."""
    remote.run_described(Path(folder), rank)


def _is_lost(ray: Any, reference: Any, where: str) -> bool:
    """Whether the process of a task was lost; raises `UnfinishedError` when the task could not begin."""
    lost = (
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.NodeDiedError,
        ray.exceptions.OutOfMemoryError,
        ray.exceptions.LocalRayletDiedError,
        ray.exceptions.ObjectLostError,
    )
    try:
        ray.get(reference)
    except lost:
        return True
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise UnfinishedError(
            f"executor: {where} could not run on its node ({last}); "
            "every node needs this folder and the same versions of Python, Ray and conan-embed"
        ) from error
    return False


def _check_room(ray: Any, config: ExecutorConfig) -> None:
    """A task that fits on no node would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(
        node.get("CPU", 0) >= config.cpus_per_task and node.get("memory", 0) >= config.memory_bytes
        for node in nodes
    ):
        return
    largest = ", ".join(
        f"{node.get('CPU', 0):.0f} cores and {node.get('memory', 0) / 1e9:.1f} GB" for node in nodes
    )
    raise UnfinishedError(
        f"executor: no node has room for a task of {config.cpus_per_task} cores and {config.memory_per_task or 'no'} memory "
        f"(nodes: {largest or 'none'}); lower executor.cpus_per_task or executor.memory_per_task"
    )
