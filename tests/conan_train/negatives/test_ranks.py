"""A service for a run of two processes: it reads the weights that both hold, and both train on what it mines."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conan_data import artifact
from conan_train.finetune.train import finetune
from conan_train.negatives.inbox import Inbox
from conan_train.trainlog import NAME, read_log
from tests.conan_train.finetune.test_finetune import config_for, write_model, write_set

ROOT = Path(__file__).parents[3]
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
SCRIPT = """
import json, sys, time
from pathlib import Path
import torch
from torch.distributed.tensor import DTensor
from conan_train.checkpoint.state import model_tensors
from conan_train.embedding.base import open_base
from conan_train.finetune.train import finetune
from conan_train.negatives import follow
from conan_train.negatives.inbox import Inbox
from conan_train.negatives.snapshot import load_snapshot, newest_snapshot
from conan_train.training.loop import Loop
from tests.conan_train.negatives.test_modes import mine_once, served, until

out, data, model, parallel = sys.argv[1:]
config = served(Path(out), (Path(data), Path(model)), parallel=parallel, threads=1, mine_every=3, steps=9)
weights = Inbox(Path(out)).weights
follow._GLANCE = 0.0
take = Loop._take

def newest_is(step):
    found = newest_snapshot(weights)
    return found is not None and found.step == step

def taken(self, step, start):
    is_main = self.accelerator.is_main_process
    if step == 3:
        whole = {name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).clone()
                 for name, tensor in model_tensors(self.model).items()}
        if is_main:
            until(lambda: newest_is(3))
            found = newest_snapshot(weights)
            trained = open_base(config).trained
            before = {name: tensor.clone() for name, tensor in model_tensors(trained).items()}
            load_snapshot(found, trained)
            own = model_tensors(trained)
            Path(out + ".found").write_text(json.dumps({
                "files": sorted(path.name for path in found.folder.glob("*.safetensors")),
                "equal": sum(torch.equal(own[name], whole[name]) for name in whole),
                "moved": sum(not torch.equal(before[name], whole[name]) for name in whole),
                "all": len(whole)}))
    if is_main and step in (1, 5):
        until(lambda: newest_is(step - step % 3))
        mine_once(Path(out))
    if step not in (0, 1, 5):  # threads of both processes read what was mined
        time.sleep(1.5)
    take(self, step, start)

Loop._take = taken
finetune(config)
"""


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_service_reads_the_weights_of_both_and_both_take_up_what_it_mines(
    parallel: str, tmp_path: Path
) -> None:
    inputs = write_set(tmp_path / "set"), write_model(tmp_path / "model")
    out = tmp_path / "out"
    (tmp_path / "script.py").write_text(SCRIPT)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}
    command = [*LAUNCH, str(tmp_path / "script.py"), str(out), *map(str, inputs), parallel]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    artifact.open_artifact(out, kind="embedder")
    assert not Inbox(out).folder.exists()
    found = json.loads((tmp_path / "out.found").read_text())
    names = [f"model-{rank:05d}-of-00002.safetensors" for rank in (1, 2)]
    assert found["files"] == (names if parallel == "fsdp" else ["model.safetensors"])
    assert found["equal"] == found["all"] and found["moved"] > found["all"] / 2
    used = [event["generation"] for event in read_log(out / NAME) if event["event"] == "refresh"]
    assert [name.split("-")[1] for name in used] == ["00000000", "00000003"]
    # From the weights of the start, the pools that one process mines for itself.
    alone = finetune(config_for(tmp_path / "alone", inputs, steps=3))
    assert (alone / "negatives" / used[0]).is_dir()
