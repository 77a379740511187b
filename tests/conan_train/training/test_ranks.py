"""Processes that end together: what one of them finds wrong ends all, at once, with one line and exit code 2."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from conan_train.training.refusal import FILE

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys
from pathlib import Path
from conan_data.command import main, Command
from conan_data.errors import UserError
from conan_train.training.config import TrainingConfig
from conan_train.training.loop import Loop
from conan_train.training.run import open_run
from tests.conan_train.training.test_loop import Draws, make
import os, signal, time
import torch

case, folder = sys.argv[1], Path(sys.argv[2])

def run(config):
    def inputs():
        if case == "inputs":
            raise UserError("data: nowhere: no such file")
        return []
    with open_run(config, kind="embedder", command="test", inputs=inputs) as opened:
        work(config, opened)

def work(config, opened):
    own = opened.ranks
    assert own.world_size == opened.accelerator.num_processes == 2
    if case == "leader":
        def wrong():
            raise UserError("data: no usable row")
        own.lead(wrong)
    if case == "follower" and own.rank == 1:
        raise UserError("data: no usable row")
    if case == "computing":
        if own.rank == 1:
            raise UserError("data: no usable row")
        until = time.monotonic() + 100
        while time.monotonic() < until:
            sum(range(1000))
    if case == "both":
        raise UserError("data: no usable row")
    if case == "fault" and own.rank == 1:
        raise AssertionError("a fault of ours")
    if case == "killed" and own.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    model = torch.nn.Linear(3, 1, bias=False)
    # Only one process meets what is not finite.
    objective = Draws(model, bad=3 if own.rank == 1 and case == "step" else -1)
    Loop(config, objective, model=model, accelerator=opened.accelerator, num_steps=6, directory=opened.build.dir).train("run")
    assert case == "whole"
    if own.is_leader:
        from conan_data import artifact
        opened.build.publish(rows=artifact.Rows(read=1, kept=1, dropped={}))

command = Command(name="go", config="conan_train.training.config:TrainingConfig", run="__main__:run", help="", runs_on_many=True)
sys.exit(main("test", "", [command], ["go", "--out", str(folder / "out"), "--steps", "6", "--checkpoint-every", "2"]))
"""


def launch(case: str, folder: Path) -> list[tuple[int, list[str]]]:
    """Exit code and error lines of two processes without a launcher, which would stop those that hang."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "script.py").write_text(SCRIPT)
    processes = [
        subprocess.Popen(
            [sys.executable, str(folder / "script.py"), case, str(folder)],
            env={
                "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RANK": str(rank), "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
            },
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    found = []
    for process in processes:
        try:
            _, errors = process.communicate(timeout=150)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail("a process waits for one that has ended")
        assert "Traceback" not in errors or case == "fault", errors[-2000:]
        found.append(
            (process.returncode, [line for line in errors.splitlines() if line.startswith("error: ")])
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("inputs", "data: nowhere: no such file"),
        ("leader", "data: no usable row"),
        ("follower", "data: no usable row"),
        ("computing", "data: no usable row"),
        ("both", "data: no usable row"),
        ("step", "not finite at step 4"),
    ],
)
def test_all_end_with_one_line(case: str, words: str, tmp_path: Path) -> None:
    (code, lines), (other_code, other_lines) = launch(case, tmp_path)
    assert code == other_code == 2
    assert len(lines + other_lines) == 1 and words in (lines + other_lines)[0]
    partial = tmp_path / "out.partial"
    if case == "step":
        told = json.loads((partial / FILE).read_text())
        assert told["ids"] == [f"row 3-{number}" for number in range(5)]
        assert [path.name for path in (partial / "checkpoints").iterdir()] == ["step-00000002"]
    else:
        assert not partial.exists()


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_the_others(tmp_path: Path) -> None:
    (code, lines), (killed, _) = launch("killed", tmp_path)
    assert (code, killed) == (2, -9)
    assert len(lines) == 1 and "another process of this run was killed" in lines[0]


@pytest.mark.slow
def test_a_fault_of_ours_on_one_rank_ends_the_other(tmp_path: Path) -> None:
    (code, lines), (other_code, _) = launch("fault", tmp_path)
    assert (code, lines, other_code) == (1, [], 1)


@pytest.mark.slow
def test_two_processes_on_a_machine_without_a_gpu_make_a_group_by_themselves(tmp_path: Path) -> None:
    assert launch("whole", tmp_path) == [(0, []), (0, [])]
    assert (tmp_path / "out" / "manifest.json").exists()
