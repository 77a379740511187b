"""Processes that end together: what one of them finds wrong ends all, at once, with one line and exit code 2."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conan_train.training.refusal import FILE

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys
from pathlib import Path
from conan_data.command import main, Command
from conan_data.errors import UserError
from conan_train.device import make_accelerator
from conan_train.training.config import TrainingConfig
from conan_train.training.loop import Loop
from conan_train.training.processes import build_together, by_main
from tests.conan_train.training.test_loop import Draws, make
import torch

case, folder = sys.argv[1], Path(sys.argv[2])

def run(config):
    accelerator = make_accelerator("cpu", "no")
    rank = accelerator.process_index
    assert accelerator.num_processes == 2
    def inputs():
        if case == "inputs":
            raise UserError("data: nowhere: no such file")
        return []
    def work(directory):
        if case == "by_main":
            def wrong():
                raise UserError("data: no usable row")
            by_main(wrong, accelerator)
        model = torch.nn.Linear(3, 1, bias=False)
        # Only one process meets what is not finite.
        objective = Draws(model, bad=3 if rank == 1 else -1)
        Loop(config, objective, model=model, accelerator=accelerator, num_steps=6, directory=directory).train("run")
    return build_together(config, accelerator, kind="embedder", command="test", inputs=inputs, run=work, publish=lambda build, _: None)

command = Command(name="go", config="conan_train.training.config:TrainingConfig", run="__main__:run", help="")
sys.exit(main("test", "", [command], ["go", "--out", str(folder / "out"), "--steps", "6", "--checkpoint-every", "2", "--device", "cpu"]))
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
                "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "RANK": str(rank), "LOCAL_RANK": str(rank),
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
        assert "Traceback" not in errors, errors[-2000:]
        found.append(
            (process.returncode, [line for line in errors.splitlines() if line.startswith("error: ")])
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("inputs", "data: nowhere: no such file"),
        ("by_main", "data: no usable row"),
        ("step", "not finite at step 4"),
    ],
)
def test_all_end_with_one_line(case: str, words: str, tmp_path: Path) -> None:
    start = time.monotonic()
    (code, lines), (other_code, other_lines) = launch(case, tmp_path)
    assert code == other_code == 2
    assert len(lines) == 1 and words in lines[0] and other_lines == []
    assert time.monotonic() - start < 140
    partial = tmp_path / "out.partial"
    if case == "step":
        told = json.loads((partial / FILE).read_text())
        assert told["ids"] == [f"row 3-{number}" for number in range(5)]
        assert [path.name for path in (partial / "checkpoints").iterdir()] == ["step-00000002"]
    else:
        assert not partial.exists()
