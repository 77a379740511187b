"""Two processes take the steps of one: weights, scores, negatives; under DDP and FSDP2, killed in between or not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conan_data import artifact
from conan_data.mining.config import SelectionConfig
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.train import finetune
from conan_train.optim.config import OptimConfig
from conan_train.tasks.config import ClassificationConfig, StsConfig
from conan_train.trainlog import NAME, read_log
from tests.conan_train.finetune.test_finetune import weights, write_model, write_set

ROOT = Path(__file__).parents[3]
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]

SCRIPT = """
import os, signal, sys
from pathlib import Path
from conan_train.finetune.train import finetune
from conan_train.training.loop import Loop
from tests.conan_train.embedding.test_processes import config_for

out, data, model, parallel, killed = sys.argv[1:]
take = Loop._take
def deadly(self, step, start):
    if step == int(killed):
        os.kill(os.getpid(), signal.SIGKILL)
    take(self, step, start)
Loop._take = deadly
finetune(config_for(Path(out), Path(data), Path(model), parallel=parallel))
"""


def config_for(out: Path, data: Path, model: Path, **values: object) -> FinetuneConfig:
    """Batches of odd size, tasks of all kinds, mining twice."""
    return FinetuneConfig(**{
        "out": out, "data": (str(data / "set"),), "model": str(model), "steps": 6, "batch_size": 5, "num_negatives": 2, "mine_every": 3,
        "soft_mask_steps": 4, "select": SelectionConfig(pool_size=4, depth=12, margin=1.0), "max_length": 24, "bucket_tokens": 96, "device": "cpu",
        "threads": 1, "checkpoint_every": 2, "log_every": 1, "dims": (8,), "learn_temperature": True, "optim": OptimConfig(lr=3e-3),
        "classification": ClassificationConfig(data=(str(data / "labels.jsonl"),), batch_size=3, num_negatives=2),
        "sts": StsConfig(data=(str(data / "sts.jsonl"),), batch_size=4),
    } | values)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_set(folder / "set")
    labels = [
        {"text": f"{word} {place}", "label": word} for word in ("red", "green", "blue") for place in "abcd"
    ]
    pairs = [
        {"text1": "a small boat", "text2": "a boat" + " on water" * place, "score": float(place % 5)}
        for place in range(9)
    ]
    for name, rows in (("labels", labels), ("sts", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def one(data: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finetune(config_for(tmp_path_factory.mktemp("one") / "run", data, model))


def launch(
    out: Path, data: Path, model: Path, parallel: str, killed: int = -1
) -> subprocess.CompletedProcess[str]:
    script = out.parent / "script.py"
    script.write_text(SCRIPT)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*LAUNCH, str(script), str(out), str(data), str(model), parallel, str(killed)],
        check=False, capture_output=True, text=True, env=env, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("parallel", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_two_processes_are_one(parallel: str, one: Path, data: Path, model: Path, tmp_path: Path) -> None:
    done = launch(tmp_path / "two", data, model, parallel)
    assert done.returncode == 0, done.stderr[-3000:]
    artifact.open_artifact(tmp_path / "two", kind="embedder")
    mine, theirs = (
        [e for e in read_log(path / NAME) if e["event"] == "step"] for path in (one, tmp_path / "two")
    )
    assert len(mine) == len(theirs) == 6
    for first, second in zip(mine, theirs, strict=True):
        for name in set(first) - {"event"}:
            assert second[name] == pytest.approx(first[name], rel=2e-3, abs=1e-5), name
    expected = weights(one)
    for name, tensor in weights(tmp_path / "two").items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_that_were_killed_end_as_two_that_were_not(
    parallel: str, data: Path, model: Path, tmp_path: Path
) -> None:
    assert launch(tmp_path / "whole", data, model, parallel).returncode == 0
    assert launch(tmp_path / "resumed", data, model, parallel, killed=5).returncode != 0
    assert not (tmp_path / "resumed").exists()
    assert launch(tmp_path / "resumed", data, model, parallel).returncode == 0
    expected = weights(tmp_path / "whole")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(tmp_path / "resumed").items())
