import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.execution.failure import TaskError
from conan_data.corpus.execution.run import run_ranks
from conan_data.errors import UnfinishedError, UserError
from tests.conan_data.corpus.execution.touch import is_alive, made, processes, touch, wait_for


def run(folder: Path, ranks: list[int], *, workers: int, failure: str = "", seconds: float = 0.0) -> None:
    run_ranks(
        touch(folder, failure=failure, seconds=seconds),
        ranks,
        tasks=4,
        executor=ExecutorConfig(),
        workers=workers,
        logging_dir=folder / "log",
        label="touch",
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_runs_the_ranks_that_it_is_given(
    tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, [0, 3], workers=workers)
    run(tmp_path, [], workers=workers)
    # What datatrove took for done a moment ago is run again when it is asked for.
    (tmp_path / "made" / "done-3").unlink()
    run(tmp_path, [3], workers=workers)
    assert made(tmp_path) == [0, 3]
    assert capfd.readouterr() == ("", "")
    assert (os.getpid() in processes(tmp_path)) == (workers == 1)


def test_a_pass_uses_each_process_for_many_tasks(tmp_path: Path) -> None:
    run(tmp_path, [0, 1, 2, 3], workers=2)
    assert made(tmp_path) == [0, 1, 2, 3]
    assert len(processes(tmp_path)) <= 2


def test_an_error_in_this_process_comes_out_as_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyError, match="rank 1") as caught:
        run(tmp_path, [0, 1, 2], workers=1, failure="error")
    assert caught.value.__notes__ == ["in task 1 of 4 (touch)"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        ("error", TaskError, r"task 1 of 4 \(touch\): KeyError: 'rank 1'\nTraceback"),
        ("strange", TaskError, "StrangeError: strange enough"),
        ("user", UserError, "^input: no such file$"),
        ("full", OSError, r"^\[Errno 28\] No space left on device: 'parts/kept'"),
        ("memory", UnfinishedError, r"task 1 of 4 \(touch\): memory ran out"),
        (
            "kill",
            UnfinishedError,
            r"task 1 of 4 \(touch\): its process was killed \(SIGKILL\), most often for lack of",
        ),
        ("abort", UnfinishedError, r"its process was killed \(SIGABRT\), run again"),
        ("exit", RuntimeError, "ended by itself with exit code 3"),
    ],
)
def test_what_goes_wrong_in_a_worker_ends_the_run_at_once(
    tmp_path: Path, failure: str, kind: type[Exception], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(kind, match=message) as caught:
        run(tmp_path, [1, 0, 2, 3], workers=2, failure=failure, seconds=30)
    # What can be mended must not be taken for a wrong input, after which nothing is kept.
    assert type(caught.value) is kind
    assert made(tmp_path) == []
    assert not any(is_alive(pid) for pid in processes(tmp_path))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("moment", [0.0, 0.2, 1.0])
def test_a_worker_that_is_killed_from_outside_is_noticed(tmp_path: Path, moment: float) -> None:
    """While it starts, just after, and in the middle of its task."""

    def kill() -> None:
        found: list[int] = []
        while not found:
            found = children(os.getpid())
        time.sleep(moment)
        os.kill(found[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(UnfinishedError, match=r"workers: task \d of 4 .*SIGKILL"):
        run(tmp_path, [0, 1, 2, 3], workers=2, seconds=60)
    thread.join()
    assert children(os.getpid()) == []


DRIVER = """
    from pathlib import Path
    from tests.conan_data.corpus.execution.test_local import run

    if __name__ == "__main__":
        run(Path({folder!r}), [0, 1, 2, 3], workers=2, seconds=120)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_main_process(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "driver.py"
    script.write_text(textwrap.dedent(DRIVER.format(folder=str(tmp_path))))
    paths = os.pathsep.join([os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    driver = subprocess.Popen(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: len(processes(tmp_path)) == 2)
    driver.send_signal(number)
    assert driver.wait(30) != 0
    wait_for(lambda: not any(is_alive(pid) for pid in processes(tmp_path)), seconds=15)


def children(pid: int) -> list[int]:
    """Workers of a process (not the resource tracker of multiprocessing)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            command = (stat.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z" and int(fields[1]) == pid and b"spawn_main" in command:
            found.append(int(stat.parent.name))
    return found
