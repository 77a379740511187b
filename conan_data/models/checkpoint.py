"""A checkpoint of a training as a plain model folder, which every command reads like any other.

A checkpoint holds weights under the names that training gives them, in as many files as processes held parts, with
adapters beside the weights that they change, and the settings and tokenizer of the model as they are published. The
folder that is made of it is a temporary one (below TMPDIR), goes away with the process, and is made once in a process.
"""

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from conan_data import checkpoint_names
from conan_data.checkpoint_files import STATE, WEIGHTS, is_setting, verify
from conan_data.checkpoint_names import CheckpointName
from conan_data.errors import UserError
from conan_data.manifest import Job, read_job
from conan_data.places import JOB, MANIFEST

_PREFIX = "embedder.backbone."
"""What names of the weights of an embedding model begin with; those of its head, such as a temperature, do not."""
_BASE, _DOWN, _UP = ".base_layer.weight", ".lora_A.default.weight", ".lora_B.default.weight"


def job_of(name: CheckpointName) -> Job:
    """Return the job of the run, as far as it is known while it runs."""
    folder = checkpoint_names.find(name).parents[1]
    return read_job(folder / (MANIFEST if (folder / MANIFEST).is_file() else JOB))


def model_folder(name: CheckpointName) -> Path:
    """Return a folder with the model of a checkpoint. Raises `UserError` where it is missing or damaged."""
    found = checkpoint_names.find(name)
    job = job_of(name)
    lora = job["config"].get("lora", {})
    return _model_folder(found.resolve(), float(lora.get("alpha", 0.0)))


@cache
def _model_folder(checkpoint: Path, lora_alpha: float) -> Path:
    files = verify(checkpoint)["files"]
    settings = [file for file in files if is_setting(file)]
    if "config.json" not in settings:
        raise UserError(
            f"{checkpoint}: holds no settings of its model, for an older version wrote it; run its training again to the next "
            "checkpoint, or use the finished model"
        )
    folder = Path(tempfile.mkdtemp(prefix="conan-checkpoint-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for file in settings:
        shutil.copyfile(checkpoint / file, folder / file)
    parts = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["parts"]
    weights = dict(_weights(checkpoint, num_parts=parts))
    save_file(
        dict(_merged(weights, lora_alpha)), folder / f"{WEIGHTS}.safetensors", metadata={"format": "pt"}
    )
    return folder


def _weights(checkpoint: Path, *, num_parts: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the weights under the names of the model; parts are joined along their first dimension."""
    names = (
        [f"{WEIGHTS}.safetensors"]
        if num_parts == 1
        else [f"{WEIGHTS}-{part + 1:05d}-of-{num_parts:05d}.safetensors" for part in range(num_parts)]
    )
    opened = [safe_open(checkpoint / name, framework="pt") for name in names]
    own = {name for name in opened[0].keys() if name.startswith(_PREFIX)}  # noqa: SIM118 (not a dict)
    for name in sorted(own or opened[0].keys()):
        shared = [file for file in opened if name in file.keys()]  # noqa: SIM118
        yield name.removeprefix(_PREFIX), torch.cat([file.get_tensor(name) for file in shared])


def _merged(weights: dict[str, torch.Tensor], lora_alpha: float) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the weights with adapters added to what they change, as `peft` merges them."""
    for name, tensor in weights.items():
        stem = name.removesuffix(_BASE)
        if stem != name and stem + _DOWN in weights:
            down, up = weights[stem + _DOWN], weights[stem + _UP]
            yield f"{stem}.weight", tensor + (up @ down) * (lora_alpha / len(down))
        elif not name.endswith((_DOWN, _UP)):
            yield name.replace(".base_layer.", "."), tensor
