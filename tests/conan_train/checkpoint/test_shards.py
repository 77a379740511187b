"""A checkpoint of two processes under FSDP2 goes on in two and in one, and one of one process in two: the same run."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

SCRIPT = '''
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from conan_train.checkpoint.state import Process, load_checkpoint, save_checkpoint
from conan_train.optim.config import OptimConfig
from conan_train.optim.groups import adamw
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

folder = Path(sys.argv[1])
dist.init_process_group("gloo")
mesh = init_device_mesh("cpu", (2,))
both = Process(dist.get_rank(), 2, dist.barrier)

def make(seed, sharded):
    """Three rows and one row: parts of unequal size, and one process without any."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    if sharded:
        fully_shard(model[0], mesh=mesh)
        fully_shard(model, mesh=mesh)
    return model, adamw(model, OptimConfig(lr=1e-2))

def train(model, optimizer, steps):
    for step in steps:
        data = torch.randn(6, 4, generator=torch.Generator().manual_seed(step))
        model(data).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

def whole(model, optimizer):
    moments = [optimizer.state[item][key] for item in model.parameters() for key in sorted(optimizer.state[item])]
    tensors = [*model.parameters(), *moments]
    return [(item.full_tensor() if isinstance(item, DTensor) else item).detach().clone() for item in tensors]

def same(one, other):
    return len(one) == len(other) and all(torch.allclose(a, b, rtol=1e-6, atol=1e-8) for a, b in zip(one, other))

plain = make(0, sharded=False)
train(*plain, range(2))
alone = Process(wait=lambda: None)
if both.rank == 0:
    save_checkpoint(folder / "one", step=2, model=plain[0], optimizer=plain[1], process=alone)
dist.barrier()
train(*plain, range(2, 4))
expected = whole(*plain)

sharded = make(0, sharded=True)
train(*sharded, range(2))
path = save_checkpoint(folder / "two", step=2, model=sharded[0], optimizer=sharded[1], extra={"note": "kept"}, process=both)
files = sorted(item.name for item in path.iterdir())
assert "model-00002-of-00002.safetensors" in files and "model.safetensors" not in files, files
train(*sharded, range(2, 4))
assert same(whole(*sharded), expected)

for source, kind in (("two", True), ("one", True), ("two", False)):
    model, optimizer = make(7 + both.rank, sharded=kind)
    assert not same(whole(model, optimizer)[:4], expected[:4])
    loaded = load_checkpoint(folder / source / "step-00000002", model=model, optimizer=optimizer)
    assert loaded.step == 2 and (source == "one" or loaded.extra == {"note": "kept"})
    train(model, optimizer, range(2, 4))
    assert same(whole(model, optimizer), expected), (source, kind)
print("all equal")
dist.destroy_process_group()
'''


def test_it_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        str(script),
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*launch, str(tmp_path)], check=False, capture_output=True, text=True, env=env, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("all equal") == 2
