"""Runs a recipe from raw text to a fine-tuned model. Every stage is checked before the first one runs; a
stage whose artifact is there is done.
"""

import dataclasses
import logging
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from conan_data import recipe
from conan_data.cli import COMMANDS as DATA_COMMANDS
from conan_data.command import bind, values_of
from conan_data.config import StageConfig
from conan_data.errors import OccupiedError, UserError
from conan_data.fields import nearest
from conan_data.places import check, check_apart
from conan_train.cli import COMMANDS as TRAIN_COMMANDS
from conan_train.path.config import PathConfig
from conan_train.path.plan import Bound, plan_table, with_readers

if TYPE_CHECKING:
    from conan_train.results import RecipeRun

log = logging.getLogger(__name__)

_PACKAGED = (Path(__file__).parents[1] / "recipes", Path(__file__).parents[2] / "pipelines")


def run_path(config: PathConfig) -> "RecipeRun":
    """Run the stages in order and return what they made, or with `dry_run` what they would do.

    Raises `UserError` before anything has run if any stage's values do not fit its command.
    """
    path = find_recipe(config.recipe)
    stages = _bound(path, config)
    from conan_train.results import RecipeRun  # Heavy, and a misspelt recipe is answered before.

    if config.dry_run:
        return RecipeRun({}, plan_table(stages))
    start = time.monotonic()
    for number, bound in enumerate(stages, 1):
        log.info("[%d/%d] %s", number, len(stages), bound.stage.name)
        try:
            made = bound.command(bound.config)
        except OccupiedError as error:
            own, *readers = with_readers(bound.stage.name, stages)
            again = (
                dataclasses.replace(
                    config, extend=(*config.extend, own), overwrite=(*config.overwrite, *readers)
                )
                if error.remedy == "--extend"
                else dataclasses.replace(config, overwrite=(*config.overwrite, own, *readers))
            )
            raise UserError(f"{bound.stage.name}: {error}: {_command_line(again)}") from error
        if made is not None and (text := bound.command.opened(made).text):
            log.info("%s", text)
    log.info("all %d stages of %s are done (%.0f s)", len(stages), path, time.monotonic() - start)
    from conan_train.summary import summarise

    makers = [bound for bound in stages if isinstance(bound.config, StageConfig)]
    summary = summarise([bound.config.out for bound in makers], stages=[bound.stage.name for bound in makers])
    return RecipeRun({bound.stage.name: bound.command.opened(bound.config.out) for bound in makers}, summary)


def _bound(path: Path, config: PathConfig) -> list[Bound]:
    """Return the chosen stages of the recipe at `path`, all of them checked."""
    # Both programs have a `report`; in a recipe it is that of the whole training, a corpus brings its own.
    commands = {
        command.name: command for command in (*DATA_COMMANDS, *TRAIN_COMMANDS) if command.name != "run"
    }
    stages = recipe.load(path, commands, root=config.root)
    names = [stage.name for stage in stages]
    for field in ("only", "from_", "overwrite", "extend"):
        value = getattr(config, field)
        for name in (value,) if isinstance(value, str) else value:
            if name and name not in names:
                raise UserError(f"--{field.rstrip('_')}: {path} has no stage {name!r}{nearest(name, names)}")
    first = names.index(config.from_) if config.from_ else 0
    found = []
    for stage in stages[first:]:
        if config.only and stage.name not in config.only:
            continue
        command, source = commands[stage.command], f"{path}: {stage.name}"
        bound = bind(command, values_of(command, stage), source=source)
        if stage.name in config.overwrite:
            bound = dataclasses.replace(bound, overwrite=True)
        if stage.name in config.extend:
            if "extend" not in bound.__dataclass_fields__:
                raise UserError(
                    f"--extend: {source} is no training; {stage.command} runs once, see --overwrite"
                )
            bound = dataclasses.replace(bound, extend=True)
        command.check_processes()
        try:
            check(bound)
        except UserError as error:
            raise UserError(f"{source}: {error}") from error
        found.append(Bound(stage, command, bound))
    check_apart(
        (f"{path}: {bound.stage.name}", bound.config.out)
        for bound in found
        if isinstance(bound.config, StageConfig)
    )
    return found


def _command_line(config: PathConfig) -> str:
    """Return the command that runs `config`, as it is typed."""
    words = ["conan-train", "run", config.recipe]
    for flag, values in (
        ("--root", [config.root] if config.root else []),
        ("--only", list(config.only)),
        ("--from", [config.from_] if config.from_ else []),
        ("--overwrite", list(dict.fromkeys(config.overwrite))),
        ("--extend", list(dict.fromkeys(config.extend))),
    ):
        words += [flag, *values] if values else []
    return shlex.join(words)


def find_recipe(name: str) -> Path:
    """The file `name`, or the recipe of that name that comes with the package."""
    if Path(name).is_file():
        return Path(name)
    folder = next((folder for folder in _PACKAGED if folder.is_dir()), None)
    packaged = sorted(path.stem for path in folder.glob("*.yaml")) if folder else []
    if folder and name in packaged:
        return folder / f"{name}.yaml"
    raise UserError(f"{name}: no such recipe; those that come with the package are {', '.join(packaged)}")
