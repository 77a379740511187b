from pathlib import Path

import pytest

from conan_data import recipe
from conan_data.cli import COMMANDS
from conan_data.command import bind, command_names

PIPELINES = Path(__file__).parents[4] / "pipelines"


@pytest.mark.parametrize(("name", "kind"), [("corpus_ray.yaml", "ray"), ("corpus_slurm.yaml", "slurm")])
def test_the_recipes_say_where_they_run(name: str, kind: str) -> None:
    path = PIPELINES / name
    stage = recipe.pick(recipe.load(path, command_names()), "build-corpus", path=path, name=None)
    config = bind(
        next(command for command in COMMANDS if command.name == stage.command), stage.values, source=name
    )
    assert (config.executor.kind, config.num_tasks) == (kind, 512)
