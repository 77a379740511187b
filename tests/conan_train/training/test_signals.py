"""SIGTERM and Ctrl-C to real trainings: a checkpoint of the last step, one line, the exit code, and nobody left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from conan_train.trainlog import NAME
from tests.conan_train.finetune.test_finetune import weights, write_model, write_set

ROOT = Path(__file__).parents[3]
STEPS = 400
RUN = "from conan_train.cli import run; run()"
LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--no-python", sys.executable)
Send = Callable[[subprocess.Popen, int], None]


def to_main(process: subprocess.Popen, signum: int) -> None:
    process.send_signal(signum)


def to_group(process: subprocess.Popen, signum: int) -> None:
    os.killpg(process.pid, signum)


def twice(process: subprocess.Popen, signum: int) -> None:
    to_group(process, signum)
    time.sleep(0.05)
    to_group(process, signum)


def to_one_worker(process: subprocess.Popen, signum: int) -> None:
    """Of a launcher."""
    workers = [child for child in psutil.Process(process.pid).children() if RUN in child.cmdline()]
    assert len(workers) == 2
    workers[1].send_signal(signum)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    return write_set(folder / "set"), write_model(folder / "model")


def start(
    inputs: tuple[Path, Path], out: Path, *flags: str, launch: tuple[str, ...] = (), steps: int = STEPS
) -> subprocess.Popen:
    data, model = inputs
    command = [
        *(sys.executable, *launch, "-c", RUN, "finetune", "--data", data, "--model", model, "--out", out),
        *("--steps", str(steps), "--batch-size", "4", "--max-length", "16", "--num-negatives", "1"),
        *("--select.pool-size", "4", "--select.depth", "12", "--select.margin", "1.0", "--threads", "1"),
        *("--checkpoint-every", "100000", "--log-every", "1", "--optim.warmup-steps", "0", *flags),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*map(str, command)], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def interrupted(process: subprocess.Popen, out: Path, send: Send, signum: int) -> tuple[int, str, float]:
    """Exit code, errors and seconds to the end, of a training that got the signal after some steps."""
    log = out.with_name(out.name + ".partial") / NAME
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if log.exists() and log.read_text().count('"step"') > 8:
            break
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    begun = time.monotonic()
    send(process, signum)
    _, errors = process.communicate(timeout=60)
    seconds = time.monotonic() - begun
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive, "a process stays"
    return process.returncode, errors, seconds


def check_checkpoint(out: Path, errors: str) -> int:
    """The step that was saved, and is in the only line that says why the run ended."""
    [line] = [line for line in errors.splitlines() if line.startswith("error: ")]
    [checkpoint] = (out.with_name(out.name + ".partial") / "checkpoints").iterdir()
    step = int(checkpoint.name.split("-")[1])
    assert f"after step {step} of {STEPS}, which is saved; run the same command again to go on" in line
    ours = errors.split("torch.distributed.elastic")[0] if "torch.distributed" in errors else errors
    assert "conan_train" not in "".join(line for line in ours.splitlines() if line.startswith('  File "'))
    return step


@pytest.fixture(scope="module")
def whole(inputs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    process = start(inputs, out)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("send", "signum"), [(to_main, signal.SIGTERM), (twice, signal.SIGTERM), (to_group, signal.SIGINT)]
)
def test_one_process(send: Send, signum: int, inputs: tuple[Path, Path], whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, errors, _ = interrupted(start(inputs, out), out, send, signum)
    assert code == 128 + signum
    assert 3 < check_checkpoint(out, errors) < STEPS
    process = start(inputs, out)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and "continuing after step" in errors, errors[-2000:]
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(out).items())


@pytest.mark.slow
def test_no_mining_worker_stays(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(inputs, out, "--mine-every", "5", "--mine-mode", "process", steps=STEPS)
    code, errors, _ = interrupted(process, out, to_group, signal.SIGTERM)
    assert code == 143
    check_checkpoint(out, errors)


@pytest.mark.slow
@pytest.mark.parametrize("send", [to_main, to_group, to_one_worker])
def test_two_processes_stop_at_the_same_step(send: Send, inputs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    _, errors, seconds = interrupted(start(inputs, out, launch=LAUNCH), out, send, signal.SIGTERM)
    assert seconds < 30, errors
    assert check_checkpoint(out, errors) > 3
