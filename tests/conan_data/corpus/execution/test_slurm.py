import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.execution.failure import TaskError
from conan_data.corpus.execution.run import run_ranks
from conan_data.corpus.execution.slurm import job_script, read_queue, sbatch_command
from conan_data.errors import UserError
from tests.conan_data.corpus.execution.cluster import missing, slurm_cluster
from tests.conan_data.corpus.execution.recipe import contents, run_recipe
from tests.conan_data.corpus.execution.touch import is_alive, made, processes, touch, wait_for

SECONDS = 120
with_slurm = pytest.mark.skipif(bool(missing()), reason=missing())


def test_the_job_is_sent_as_the_config_says() -> None:
    config = ExecutorConfig(
        kind="slurm",
        partition="cpu",
        qos="long",
        cpus_per_task=2,
        memory_per_task="8GB",
        time="2-00:00:00",
        sbatch_args=("--account=a b",),
        setup="module load python\nsource env/bin/activate",
        python="python3",
    )
    folder = Path("/shared/with space/filter-1")
    assert job_script(config, folder, 1000) == (
        "#!/bin/bash\nmodule load python\nsource env/bin/activate\n"
        "exec python3 -m conan_data.corpus.execution.job '/shared/with space/filter-1' 1000\n"
    )
    assert sbatch_command(config, folder, folder / "job.sh", 30, 8) == [
        *("sbatch", "--parsable", "--job-name=conan-filter-1", "--array=0-29%8", "--ntasks=1"),
        *("--cpus-per-task=2", "--mem=7630M", "--time=2-00:00:00", "--partition=cpu", "--qos=long"),
        *("--no-requeue", f"--output={folder}/log-%A-%a.txt", "--account=a b", f"{folder}/job.sh"),
    ]
    plain = sbatch_command(ExecutorConfig(memory_per_task=""), folder, folder / "job.sh", 1, 1)
    assert not [arg for arg in plain if arg.startswith(("--mem", "--partition", "--qos"))]
    assert sys.executable in job_script(ExecutorConfig(), folder, 0)


def test_the_queue_is_read_by_array_index() -> None:
    text = "0|COMPLETED|None\n12|PENDING|(Resources|JobArrayTaskLimit)\nN/A|PENDING|None\n"
    assert read_queue(text) == {0: ("COMPLETED", "None"), 12: ("PENDING", "(Resources|JobArrayTaskLimit)")}
    assert read_queue("") == {}


def test_a_machine_without_slurm_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="kind slurm needs the command sbatch"):
        run(tmp_path)


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    # Not pytest's own folder: the path of a socket may have 108 characters.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm_cluster(Path(folder)):
        yield


def run(
    folder: Path, *, failure: str = "", seconds: float = 0.0, ranks: Any = (0, 1, 2, 3), **fields: Any
) -> None:
    run_ranks(
        touch(folder, failure=failure, seconds=seconds),
        list(ranks),
        tasks=4,
        executor=ExecutorConfig(
            **({"kind": "slurm", "memory_per_task": "1GB", "poll_seconds": 0.5} | fields)
        ),
        workers=2,
        logging_dir=folder / "log",
        label="touch",
    )


@with_slurm
@pytest.mark.slow
@pytest.mark.parametrize("max_array", [1000, 2])
def test_runs_the_ranks_that_it_is_given(slurm: None, tmp_path: Path, max_array: int) -> None:
    run(tmp_path, ranks=[0, 2, 3], max_array=max_array)
    assert made(tmp_path) == [0, 2, 3]
    assert os.getpid() not in processes(tmp_path)


@with_slurm
@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        ("error", TaskError, r"task 1 of 4 \(touch\): KeyError: 'rank 1'"),
        ("user", UserError, "^input: no such file$"),
        ("kill", UserError, r"executor: 1 of 4 tasks \(touch\) failed: task 1 \(FAILED\); logs are in "),
        ("exit", UserError, r"executor: 1 of 4 tasks \(touch\) failed: task 1 \(FAILED\); logs are in "),
    ],
)
def test_a_failing_task_fails_the_run_when_the_others_are_done(
    slurm: None, tmp_path: Path, failure: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run(tmp_path, failure=failure)
    assert made(tmp_path) == [0, 2, 3]


@with_slurm
@pytest.mark.slow
def test_the_log_of_a_task_that_could_not_begin_is_shown(
    slurm: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(
        UserError, match=r"2 of 4 tasks \(touch\) failed: task 0 \(FAILED\), task 3 \(FAILED\)"
    ):
        run(tmp_path, ranks=[0, 3], python="/no/such/python")
    assert "/no/such/python: No such file or directory" in caplog.text


@with_slurm
@pytest.mark.slow
def test_a_task_that_is_cancelled_by_hand_is_named(slurm: None, tmp_path: Path) -> None:
    def cancel() -> None:
        wait_for(lambda: len(processes(tmp_path)) == 2, SECONDS)
        job = (tmp_path / "log" / "slurm-job.txt").read_text()
        subprocess.run(["scancel", f"{job}_1", f"{job}_3"], check=True)

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(UserError, match=r"failed: task 1 \(CANCELLED\), task 3 \((CANCELLED|gone)\)"):
        run(tmp_path, seconds=5)
    thread.join()
    assert made(tmp_path) == [0, 2]


@with_slurm
@pytest.mark.slow
def test_what_slurm_refuses_is_said(slurm: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="executor: sbatch refused the job: .*invalid partition"):
        run(tmp_path, partition="none")


@with_slurm
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_job_goes_on_beside_the_next_run(slurm: None, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C ends the jobs; after kill -9, the next start does."""
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], stderr=subprocess.DEVNULL)
    wait_for(lambda: len(processes(tmp_path)) == 2, SECONDS)
    first = processes(tmp_path)
    driver.send_signal(number)
    assert driver.wait(SECONDS) != 0
    if number == signal.SIGKILL:
        shutil.rmtree(tmp_path / "made")
        run(tmp_path)
        assert made(tmp_path) == [0, 1, 2, 3]
    wait_for(lambda: not any(is_alive(pid) for pid in first), SECONDS)


DRIVER = """
import sys
from pathlib import Path
from tests.conan_data.corpus.execution.test_slurm import run
run(Path(sys.argv[1]), seconds=300)
"""


@with_slurm
@pytest.mark.slow
def test_output_is_the_same_as_that_of_one_process(slurm: None, tmp_path: Path) -> None:
    assert run_recipe(tmp_path / "one", "--workers", "1").returncode == 0
    flags = ("--workers", "2", "--tasks", "5", "--executor.kind", "slurm", "--executor.poll-seconds", "0.5")
    slurm_flags = (*flags, "--executor.memory-per-task", "1GB")
    refused = run_recipe(tmp_path / "slurm", *slurm_flags, "--executor.python", "/no/such/python")
    assert refused.returncode == 2
    assert re.search(r"error: executor: 5 of 5 tasks \(filtering\) failed", refused.stderr)
    done = run_recipe(tmp_path / "slurm", *slurm_flags)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "one") == contents(tmp_path / "slurm")
