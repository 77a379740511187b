"""A resumed run is the undisturbed run, to the bit; whatever is not whole is passed over."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from conan_data.errors import UserError
from conan_train.checkpoint.state import (
    latest_checkpoint,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)


class Net(torch.nn.Module):
    """Dropout, a shared weight and a frozen one: what makes a resume go wrong."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(11, width)
        self.dropout = torch.nn.Dropout(0.3)
        self.hidden = torch.nn.Linear(width, width)
        self.head = torch.nn.Linear(width, 11, bias=False)
        self.head.weight = self.embed.weight
        self.frozen = torch.nn.Parameter(torch.ones(width), requires_grad=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(torch.tanh(self.hidden(self.embed(ids)))) * self.frozen)


def make(name: str = "adamw", seed: int = 3) -> tuple[Net, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = Net()
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [{"params": trainable[:1], "weight_decay": 0.1}, {"params": trainable[1:], "weight_decay": 0.0}]
    if name == "adamw":
        return model, torch.optim.AdamW(groups, lr=1e-2, betas=(0.8, 0.99))
    if name == "amsgrad-fused":
        return model, torch.optim.AdamW(groups, lr=1e-2, amsgrad=True, fused=True)
    if name == "asgd":  # its state holds float64 scalars and tensors of several kinds
        return model, torch.optim.ASGD(groups, lr=1e-2)
    return model, torch.optim.SGD(groups, lr=1e-2, momentum=0.9)


def train(model: Net, optimizer: torch.optim.Optimizer, num_steps: int) -> None:
    """Steps whose data, noise and learning rate all come from the generators."""
    for _ in range(num_steps):
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * (0.9 + 0.1 * random.random())
        ids = torch.from_numpy(np.random.randint(0, 11, size=(5, 4)))
        loss = torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.roll(1).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def weights(model: Net) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", ["adamw", "amsgrad-fused", "asgd", "sgd"])
def test_resume_is_bitwise(tmp_path: Path, name: str) -> None:
    model, optimizer = make(name)
    seed_all(5)
    train(model, optimizer, 4)
    np.random.standard_normal()  # leaves a cached second value in the generator
    random.gauss(0, 1)
    save_checkpoint(tmp_path, step=4, model=model, optimizer=optimizer)
    middle = weights(model)
    train(model, optimizer, 5)
    normals = (np.random.standard_normal(), random.gauss(0, 1))
    undisturbed = weights(model)

    fresh, fresh_optimizer = make(name, seed=99)
    seed_all(77)
    train(fresh, fresh_optimizer, 2)
    assert not same(weights(fresh), middle)
    path = latest_checkpoint(tmp_path)
    assert path is not None
    assert load_checkpoint(path, model=fresh, optimizer=fresh_optimizer).step == 4
    assert same(weights(fresh), middle)
    train(fresh, fresh_optimizer, 5)
    assert same(weights(fresh), undisturbed)
    assert (np.random.standard_normal(), random.gauss(0, 1)) == normals
    assert fresh.head.weight is fresh.embed.weight
    assert type(fresh_optimizer.param_groups[0].get("betas", ())) is tuple


def test_the_test_sees_a_generator_that_is_not_restored(tmp_path: Path) -> None:
    model, optimizer = make()
    seed_all(5)
    train(model, optimizer, 4)
    save_checkpoint(tmp_path, step=4, model=model, optimizer=optimizer)
    train(model, optimizer, 5)
    fresh, fresh_optimizer = make(seed=99)
    load_checkpoint(tmp_path / "step-00000004", model=fresh, optimizer=fresh_optimizer)
    torch.manual_seed(1)
    train(fresh, fresh_optimizer, 5)
    assert not same(weights(fresh), weights(model))


def test_extra_and_arrays_come_back(tmp_path: Path) -> None:
    model, optimizer = make()
    arrays = {
        "cursors": torch.arange(7, dtype=torch.int64)[::2],
        "half": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
        "flags": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
    }
    extra = {"generation": "gen-00000010-abcd", "scores": [0.1, 1e-300], "nested": {"none": None}}
    path = save_checkpoint(tmp_path, step=1, model=model, optimizer=optimizer, extra=extra, arrays=arrays)
    loaded = load_checkpoint(path, model=model)
    assert loaded.extra == extra
    assert loaded.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded.arrays[name].dtype == array.dtype
        assert torch.equal(loaded.arrays[name].nan_to_num(7), array.nan_to_num(7))


def test_arrays_outlive_their_files(tmp_path: Path) -> None:
    model, optimizer = make()
    path = save_checkpoint(tmp_path, step=1, model=model, optimizer=optimizer, arrays={"a": torch.ones(1000)})
    arrays = load_checkpoint(path, model=model, optimizer=optimizer).arrays
    (path / "arrays.safetensors").write_bytes(bytes(4200))
    assert arrays["a"].sum() == 1000


def test_a_damaged_newest_checkpoint_falls_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model, optimizer = make()
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step=step, model=model, optimizer=optimizer)
    assert latest_checkpoint(tmp_path) == tmp_path / "step-00000003"

    weight_file = tmp_path / "step-00000003" / "model.safetensors"
    content = bytearray(weight_file.read_bytes())
    content[-1] ^= 1
    weight_file.write_bytes(content)
    assert latest_checkpoint(tmp_path) == tmp_path / "step-00000002"
    assert "model.safetensors is damaged" in caplog.text
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        load_checkpoint(tmp_path / "step-00000003", model=model)

    (tmp_path / "step-00000002" / "meta.json").write_text('{"format": 1, ')
    assert latest_checkpoint(tmp_path) == tmp_path / "step-00000001"
    (tmp_path / "step-00000001" / "state.json").unlink()
    assert latest_checkpoint(tmp_path) is None


def test_nothing_there(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "absent") is None


def test_pruning_keeps_whole_ones(tmp_path: Path) -> None:
    model, optimizer = make()
    for step in range(1, 6):
        save_checkpoint(tmp_path, step=step, model=model, optimizer=optimizer)
    (tmp_path / "step-00000009.partial").mkdir()
    prune_checkpoints(tmp_path, keep=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000003",
        "step-00000004",
        "step-00000005",
    ]
    for step in (4, 5):
        (tmp_path / f"step-0000000{step}" / "optimizer.safetensors").write_bytes(b"")
    prune_checkpoints(tmp_path, keep=1)
    assert latest_checkpoint(tmp_path) == tmp_path / "step-00000003"
    save_checkpoint(tmp_path, step=6, model=model, optimizer=optimizer, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000006"]


def test_steps_are_compared_as_numbers(tmp_path: Path) -> None:
    model, optimizer = make()
    for step in (99_999_999, 100_000_000):
        save_checkpoint(tmp_path, step=step, model=model, optimizer=optimizer)
    assert latest_checkpoint(tmp_path) == tmp_path / "step-100000000"


def test_another_model_is_refused(tmp_path: Path) -> None:
    model, optimizer = make()
    train(model, optimizer, 1)
    path = save_checkpoint(tmp_path, step=1, model=model, optimizer=optimizer)
    with pytest.raises(UserError, match="weights of another model"):
        load_checkpoint(path, model=Net(width=8))
    with pytest.raises(UserError, match="optimizer is over other parameters"):
        load_checkpoint(path, model=model, optimizer=torch.optim.AdamW([model.hidden.weight]))


def test_no_pickle(tmp_path: Path) -> None:
    model, optimizer = make()
    train(model, optimizer, 1)
    path = save_checkpoint(tmp_path, step=1, model=model, optimizer=optimizer)
    assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}


KILLED = """
import sys, torch
from conan_train.checkpoint.state import save_checkpoint
model = torch.nn.Linear(700, 700)
optimizer = torch.optim.AdamW(model.parameters())
model(torch.ones(1, 700)).sum().backward()
optimizer.step()
step = 0
while True:
    step += 1
    save_checkpoint(sys.argv[1], step=step, model=model, optimizer=optimizer, keep=2)
    print(step, flush=True)
"""


def test_kill_while_saving_leaves_a_whole_one(tmp_path: Path) -> None:
    directory = tmp_path / "checkpoints"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    last = 0
    for line in process.stdout:
        last = int(line)
        if last == 4:
            process.send_signal(signal.SIGKILL)
    process.wait()
    path = latest_checkpoint(directory)
    assert path is not None
    assert int(path.name.removeprefix("step-")) >= last
    model = torch.nn.Linear(700, 700)
    assert load_checkpoint(path, model=model, optimizer=torch.optim.AdamW(model.parameters())).step >= last
