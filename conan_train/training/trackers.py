"""The log of a run in TensorBoard, Weights & Biases or trackio as well, through accelerate."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import filter_trackers

from conan_data.config import identity
from conan_data.errors import UserError
from conan_data.public_names import published_value
from conan_train.training.config import TrainingConfig


def require_trackers(config: TrainingConfig) -> None:
    """Raises `UserError` for a tracker that is not installed: accelerate would leave it out in silence."""
    for name in config.track:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"track: {name} is not installed; pip install {name}, or leave it out")


def start_trackers(accelerator: Accelerator, config: TrainingConfig, directory: Path) -> None:
    """Opens the trackers of a run; those of TensorBoard go below `directory`/trackers, others where they are used to."""
    if not config.track:
        return
    accelerator.project_configuration.set_directories(str(directory))
    accelerator.project_configuration.logging_dir = str(directory / "trackers")
    accelerator.log_with = filter_trackers(list(config.track), accelerator.project_configuration.logging_dir)
    accelerator.init_trackers("conan", config=dict(_flat(identity(config, published_value))))


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested values under dotted names, as trackers take them."""
    pairs: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            pairs.append(
                (prefix + name, value if isinstance(value, int | float | str | bool) else str(value))
            )
    return pairs
