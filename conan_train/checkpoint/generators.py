"""The random number generators of a training process: Python's, numpy's, torch's on the CPU and on every CUDA
device.
"""

import random
from typing import Any

import numpy as np
import torch


def generator_states() -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """States as JSON (Python, numpy) and as uint8 tensors (torch)."""
    version, words, gauss = random.getstate()
    legacy = np.random.get_state(legacy=False)
    assert isinstance(legacy, dict)
    numpy_state = {
        **legacy,
        "state": {"key": legacy["state"]["key"].tolist(), "pos": int(legacy["state"]["pos"])},
    }
    tensors = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"cuda:{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return {"python": [version, list(words), gauss], "numpy": numpy_state}, tensors


def restore_generators(states: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """Sets all generators to what `generator_states` returned; states of CUDA devices that are not here are
    left out.
    """
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    numpy_state = states["numpy"]
    key = np.asarray(numpy_state["state"]["key"], dtype=np.uint32)
    np.random.set_state({**numpy_state, "state": {"key": key, "pos": numpy_state["state"]["pos"]}})
    torch.set_rng_state(tensors["cpu"])
    for index in range(torch.cuda.device_count()):
        if f"cuda:{index}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda:{index}"], index)
