"""Trainer and service are killed with SIGKILL at seeded random moments, and started again at once.

Inline, the run ends with the weights of one that nobody disturbed, bit by bit. With a service it ends whole: every
step is in the log once, and every generation is whole and right.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conan_data import artifact
from conan_data.pairs.pair_set import read_retrieval_sets
from conan_train.negatives.generation import load_generation, require_no_answers
from conan_train.negatives.inbox import Inbox
from conan_train.trainlog import NAME, read_log
from tests.conan_train.finetune.test_finetune import weights, write_model, write_set

ROOT = Path(__file__).parents[3]
STEPS = 24
DRIVER = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch, transformers, accelerate
import conan_train.finetune.service as service, conan_train.finetune.train as train
from conan_train.negatives.config import MineServiceConfig
from conan_train.negatives.depth.config import RefreshConfig
from conan_train.negatives import follow
from conan_train.training.loop import Loop
from tests.conan_train.finetune.test_finetune import config_for

folder, mode, kills, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
inputs = (folder / "set", folder / "model")
rng = random.Random(seed)
follow._GLANCE = 0.05
take = Loop._take
def slow(self, step, start):
    time.sleep(0.03 if mode == "inline" else 0.25)
    take(self, step, start)
Loop._take = slow

def start(work):
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        torch.set_num_threads(1)
        work()
        code = 0
    except BaseException as error:
        print(repr(error), file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)

def ended(process, wait=False):
    found, status = os.waitpid(process, 0 if wait else os.WNOHANG)
    return None if found == 0 else os.waitstatus_to_exitcode(status)

def trainer(out):
    return start(lambda: train.finetune(config_for(out, inputs, mine_mode=mode, mine_look_every=1, checkpoint_every=3, threads=1, refresh=RefreshConfig(depth="full"))))

def miner(out):
    return start(lambda: service.mine_service(MineServiceConfig(run=out, poll=0.05, threads=1, device="cpu")))

began = time.monotonic()
whole = 8.0
if mode == "inline" or kills > 10:
    # The kills are spread over a run's time on this machine.
    assert ended(trainer(folder / "whole"), wait=True) == 0
    whole = time.monotonic() - began
done = {"trainer": 0, "service": 0 if mode == "service" else kills}
number = 0
while min(done.values()) < kills:
    number += 1
    out = folder / f"run-{number}"
    works = {"trainer": trainer} | ({"service": miner} if mode == "service" else {})
    running = {name: work(out) for name, work in works.items()}
    due = {name: time.monotonic() + rng.uniform(0, whole) for name in works}
    while running:
        for name in list(running):
            code = ended(running[name])
            is_due = done[name] < kills and time.monotonic() >= due[name]
            if code is None and is_due:
                os.kill(running[name], signal.SIGKILL)
                code = ended(running[name], wait=True)
            if code is None:
                continue
            if is_due and code == -signal.SIGKILL:
                done[name] += 1
                running[name] = works[name](out)
                due[name] = time.monotonic() + rng.uniform(0, whole)
                continue
            assert code == 0, (name, code)
            del running[name]
            if name == "trainer" and "service" in running:
                due["service"] = float("inf")
        time.sleep(0.01)
print(json.dumps({"runs": number, **done}))
"""


def killed(folder: Path, mode: str, kills: int) -> list[Path]:
    """The finished runs."""
    write_set(folder / "set")
    write_model(folder / "model")
    command = [sys.executable, "-c", DRIVER, str(folder), mode, str(kills), "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=20_000)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["trainer"] >= kills and told["service"] >= kills
    return [folder / f"run-{number + 1}" for number in range(told["runs"])]


FEW_AND_MANY = [3, pytest.param(50, marks=pytest.mark.slow)]


@pytest.mark.parametrize("kills", FEW_AND_MANY)
def test_inline_runs_end_as_if_nobody_had_killed_them(kills: int, tmp_path: Path) -> None:
    runs = killed(tmp_path, "inline", kills)
    expected = weights(tmp_path / "whole")
    for out in runs:
        artifact.open_artifact(out, kind="embedder")
        assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(out).items())
        names = [
            sorted(path.name for path in (run / "negatives").iterdir()) for run in (out, tmp_path / "whole")
        ]
        assert names[0] == names[1] and len(names[0]) == 4


@pytest.mark.parametrize("kills", FEW_AND_MANY)
def test_runs_with_a_service_end_whole(kills: int, tmp_path: Path) -> None:
    runs = killed(tmp_path, "service", kills)
    data = read_retrieval_sets((str(tmp_path / "set"),), "train")
    num_mined = 0
    for out in runs:
        artifact.open_artifact(out, kind="embedder")
        events = read_log(out / NAME)
        assert [event["step"] for event in events if event["event"] == "step"] == list(range(4, STEPS + 1, 4))
        used = {event["generation"] for event in events if event["event"] == "refresh"}
        store = out / "negatives"
        there = {path.name for path in store.iterdir()} if store.exists() else set()
        assert used <= there
        for name in there:
            require_no_answers(load_generation(store / name, data.data), data.arrays)
        num_mined += len(used)
        assert not Inbox(out).folder.exists()
    assert num_mined > 0
