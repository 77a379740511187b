"""Refreshes of a window in a real run: it does not grow with the set, and a killed run mines the same again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from conan_train.finetune.train import finetune
from conan_train.negatives.depth.config import RefreshConfig
from conan_train.trainlog import NAME, read_log
from tests.conan_train.finetune.test_finetune import config_for, write_model, write_set

REFRESH = RefreshConfig(depth="window", budget=0.035, full_up_to=0, sample=6, max_error=2.0)

KILLED = """
import os, signal, sys
from pathlib import Path
from conan_train.training.loop import Loop
from tests.conan_train.finetune.test_window import *
taken = Loop._take
def deadly(self, *args, **named):
    if self.step == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
    return taken(self, *args, **named)
Loop._take = deadly
finetune(config_for(Path(sys.argv[1]), (Path(sys.argv[2]), Path(sys.argv[3])), refresh=REFRESH))
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("inputs")
    return write_set(root / "set"), write_model(root / "model")


@pytest.fixture(scope="module")
def undisturbed(inputs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finetune(config_for(tmp_path_factory.mktemp("runs") / "whole", inputs, refresh=REFRESH))


def test_only_the_first_refresh_encodes_everything(undisturbed: Path) -> None:
    refreshes = [event for event in read_log(undisturbed / NAME) if event["event"] == "refresh"]
    assert [event["depth"] for event in refreshes] == ["full", "window", "window", "window"]
    assert refreshes[0]["documents"] == 24
    assert all(6 <= event["documents"] <= 21 for event in refreshes[1:])
    assert all(event["drift"] > 0 and event["map_error"] > 0 for event in refreshes[1:])
    assert not (undisturbed / "work").exists()


@pytest.mark.parametrize("step", [14, pytest.param(19, marks=pytest.mark.slow)])
def test_a_killed_run_ends_bitwise_equal_to_an_undisturbed_one(
    step: int, undisturbed: Path, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    """Killed after a refresh that no checkpoint has seen, whose state lies in the run's folder."""
    out = tmp_path / "out"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), *map(str, inputs), str(step)],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    finetune(config_for(out, inputs, refresh=REFRESH))
    own, expected = (load_file(path / "model" / "model.safetensors") for path in (out, undisturbed))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in own.items())
    names = [sorted(path.name for path in (run / "negatives").iterdir()) for run in (out, undisturbed)]
    assert names[0] == names[1] and len(names[0]) == 4
