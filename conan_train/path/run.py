"""Runs a recipe from raw text to a fine-tuned model. Every stage is checked before the first one runs; a
stage whose artifact is there is done.
"""

import logging
import time
from pathlib import Path
from typing import Any

from conan_data import recipe
from conan_data.cli import COMMANDS as DATA_COMMANDS
from conan_data.command import bind
from conan_data.errors import UserError
from conan_data.fields import nearest
from conan_data.places import check, check_apart
from conan_train.cli import COMMANDS as TRAIN_COMMANDS
from conan_train.path.config import PathConfig

log = logging.getLogger(__name__)

_PACKAGED = (Path(__file__).parents[1] / "recipes", Path(__file__).parents[2] / "pipelines")


def run_path(config: PathConfig) -> str:
    """Runs the stages in order and returns the summary of what they made.

    Raises `UserError` before anything has run if any stage's values do not fit its command.
    """
    # Both programs have a `report`; in a recipe it is that of the whole training, a corpus brings its own.
    commands = {
        command.name: command for command in (*DATA_COMMANDS, *TRAIN_COMMANDS) if command.name != "run"
    }
    path = find_recipe(config.recipe)
    stages = recipe.load(path, commands, root=config.root)
    unknown = set(config.only) - {stage.name for stage in stages}
    if unknown:
        raise UserError(
            f"{path}: has no stage {min(unknown)!r}{nearest(min(unknown), [stage.name for stage in stages])}"
        )
    chosen = [stage for stage in stages if not config.only or stage.name in config.only]
    configs: list[Any] = [
        bind(commands[stage.command], stage.values, source=f"{path}: {stage.name}") for stage in chosen
    ]
    for stage in chosen:
        commands[stage.command].check_processes()
    for stage, stage_config in zip(chosen, configs, strict=True):
        try:
            check(stage_config)
        except UserError as error:
            raise UserError(f"{path}: {stage.name}: {error}") from error
    check_apart((f"{path}: {stage.name}", stage_config.out) for stage, stage_config in zip(chosen, configs))
    start = time.monotonic()
    for number, (stage, stage_config) in enumerate(zip(chosen, configs), 1):
        log.info("[%d/%d] %s", number, len(chosen), stage.name)
        commands[stage.command](stage_config)
    log.info("all %d stages of %s are done (%.0f s)", len(chosen), path, time.monotonic() - start)
    from conan_train.summary import summarise

    return summarise([stage_config.out for stage_config in configs], stages=[stage.name for stage in chosen])


def find_recipe(name: str) -> Path:
    """The file `name`, or the recipe of that name that comes with the package."""
    if Path(name).is_file():
        return Path(name)
    folder = next((folder for folder in _PACKAGED if folder.is_dir()), None)
    packaged = sorted(path.stem for path in folder.glob("*.yaml")) if folder else []
    if folder and name in packaged:
        return folder / f"{name}.yaml"
    raise UserError(f"{name}: no such recipe; those that come with the package are {', '.join(packaged)}")
