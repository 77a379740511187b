from pathlib import Path

import pytest

from conan_data import recipe
from conan_data.cli import COMMANDS
from conan_data.command import bind, command_names, values_of
from conan_data.errors import UserError
from conan_train.cli import COMMANDS as TRAIN_COMMANDS

PIPELINES = Path(__file__).parents[4] / "pipelines"


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_stage_of_a_recipe_binds(path: Path) -> None:
    """Its keys and values are those of its command's config; a misspelt one is an error."""
    commands = {command.name: command for command in (*COMMANDS, *TRAIN_COMMANDS)}
    stages = recipe.load(path, commands)
    assert stages
    for stage in stages:
        command = commands[stage.command]
        config = bind(command, values_of(command, stage), source=f"{path.name}, {stage.name}")
        assert "${" not in str(config)
        with pytest.raises(UserError, match="wrongly_named"):
            bind(command, stage.values | {"wrongly_named": 1}, source=path.name)


@pytest.mark.parametrize(("name", "kind"), [("corpus_ray.yaml", "ray"), ("corpus_slurm.yaml", "slurm")])
def test_the_recipes_say_where_they_run(name: str, kind: str) -> None:
    path = PIPELINES / name
    stage = recipe.pick(recipe.load(path, command_names()), "build-corpus", path=path, name=None)
    config = bind(
        next(command for command in COMMANDS if command.name == stage.command), stage.values, source=name
    )
    assert (config.executor.kind, config.num_tasks) == (kind, 512)
