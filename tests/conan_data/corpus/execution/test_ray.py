"""A real Ray cluster: two worker nodes, each a set of processes of this machine, all on the loopback interface."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.execution.failure import TaskError
from conan_data.corpus.execution.run import run_ranks
from conan_data.errors import UserError
from tests.conan_data.corpus.execution.recipe import contents, run_recipe
from tests.conan_data.corpus.execution.touch import is_alive, made, processes, touch, wait_for

pytestmark = pytest.mark.slow
# Read when ray is imported: no statistics are sent, and 127.0.0.1 is not taken for the address of another interface.
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
SECONDS = 120


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without cores, and two nodes of one core each."""
    pytest.importorskip("ray", reason="ray is not installed (extra `ray`)")
    from ray.cluster_utils import Cluster

    options = {"node_ip_address": "127.0.0.1", "include_dashboard": False, "object_store_memory": 80_000_000}
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **options})
    found.workers = [found.add_node(num_cpus=1, memory=2_000_000_000, **options) for _ in range(2)]
    yield found
    found.shutdown()


def config(address: str, **fields: Any) -> ExecutorConfig:
    return ExecutorConfig(**({"kind": "ray", "address": address, "memory_per_task": "1GB"} | fields))


def run(folder: Path, address: str, *, failure: str = "", seconds: float = 0.0, **fields: Any) -> None:
    run_ranks(
        touch(folder, failure=failure, seconds=seconds),
        [0, 1, 2, 3],
        tasks=4,
        executor=config(address, **fields),
        workers=2,
        logging_dir=folder / "log",
        label="touch",
    )


def test_tasks_are_spread_over_the_nodes(cluster: Any, tmp_path: Path) -> None:
    run(tmp_path, cluster.address, seconds=2)
    assert made(tmp_path) == [0, 1, 2, 3]
    # The parent of a worker of Ray is the process of its node.
    assert len({path.read_text() for path in (tmp_path / "made").glob("pid-*")}) == 2
    assert os.getpid() not in processes(tmp_path)


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        ("error", TaskError, r"task 1 of 4 \(touch\): KeyError: 'rank 1'"),
        ("user", UserError, "input: no such file"),
        ("kill", UserError, r"task 1 of 4 \(touch\): its process or node was lost 2 times"),
    ],
)
def test_a_failing_task_ends_the_run(
    cluster: Any, tmp_path: Path, failure: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run(tmp_path, cluster.address, failure=failure)


def test_a_task_whose_process_was_killed_once_is_started_again(
    cluster: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, cluster.address, failure="kill once")
    assert made(tmp_path) == [0, 1, 2, 3]
    assert "task 1 of 4 (touch): its process or node was lost; starting it again" in caplog.text


def test_the_tasks_of_a_lost_node_run_elsewhere(
    cluster: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def lose() -> None:
        wait_for(lambda: len(processes(tmp_path)) == 2, SECONDS)
        kill_node(cluster.workers[0], tmp_path)

    thread = threading.Thread(target=lose)
    thread.start()
    run(tmp_path, cluster.address, seconds=10)
    thread.join()
    assert made(tmp_path) == [0, 1, 2, 3]
    assert "was lost; starting it again" in caplog.text


def test_the_run_ends_when_no_node_is_left(cluster: Any, tmp_path: Path) -> None:
    def lose() -> None:
        wait_for(lambda: len(processes(tmp_path)) == 2, SECONDS)
        for node in cluster.workers:
            kill_node(node, tmp_path)

    thread = threading.Thread(target=lose)
    thread.start()
    with pytest.raises(UserError, match="executor: no node has room for a task of 1 cores"):
        run(tmp_path, cluster.address, seconds=300)
    thread.join()


def test_what_cannot_run_is_said_before_it_waits(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no node has room for a task of 3 cores and 1GB memory"):
        run(tmp_path, cluster.address, cpus_per_task=3)
    with pytest.raises(UserError, match="executor.address: no Ray cluster at '127.0.0.1:9'"):
        run(tmp_path, "127.0.0.1:9")


def test_output_is_the_same_as_that_of_one_process(cluster: Any, tmp_path: Path) -> None:
    assert run_recipe(tmp_path / "one", "--workers", "1").returncode == 0
    ray = run_recipe(
        tmp_path / "ray",
        *("--workers", "2", "--tasks", "5", "--executor.kind", "ray"),
        *("--executor.address", cluster.address, "--executor.memory-per-task", "1GB"),
    )
    assert ray.returncode == 0, ray.stderr
    assert contents(tmp_path / "one") == contents(tmp_path / "ray")


def test_a_cluster_of_this_machine_is_started_when_asked(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed (extra `ray`)")
    run(tmp_path, "local", seconds=0.5)
    assert made(tmp_path) == [0, 1, 2, 3]


def test_no_task_outlives_the_command(cluster: Any, tmp_path: Path) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path), cluster.address])
    wait_for(lambda: len(processes(tmp_path)) == 2, SECONDS)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(SECONDS) != 0
    wait_for(lambda: not any(is_alive(pid) for pid in processes(tmp_path)), SECONDS)


DRIVER = """
import sys
from pathlib import Path
from tests.conan_data.corpus.execution.test_ray import run
run(Path(sys.argv[1]), sys.argv[2], seconds=300)
"""


def kill_node(node: Any, folder: Path) -> None:
    """Ends the process that a node stands or falls with, and those of its tasks, which would else finish them."""
    raylet = int(node.all_processes["raylet"][0].process.pid)
    tasks = [path for path in (folder / "made").glob("pid-*") if int(path.read_text()) == raylet]
    for pid in (raylet, *(int(path.name.split("-")[2]) for path in tasks)):
        os.kill(pid, signal.SIGKILL)
