"""The README names only commands, flags, recipes and files that are there."""

import re
from pathlib import Path
from typing import get_origin

import pytest

from conan_data import recipe
from conan_data.cli import COMMANDS as DATA_COMMANDS
from conan_data.command import RecipeFlags, bind, values_of
from conan_data.flags import flags_of
from conan_train.cli import COMMANDS as TRAIN_COMMANDS

ROOT = Path(__file__).parents[2]
README = re.sub(
    r"--[a-z][\w-]*(?: \([^)]*\))?-->|python\s+-m tests[^`]*",
    "",
    (ROOT / "README.md").read_text(encoding="utf-8"),
)
"""Without the arrows of the path, and the commands of benchmarks."""
PROGRAMS = {"conan-data": DATA_COMMANDS, "conan-train": TRAIN_COMMANDS}
COMMANDS = [*DATA_COMMANDS, *TRAIN_COMMANDS]
OF_OTHERS = {"--nproc-per-node", "--help"}


def flags(commands: list) -> tuple[set[str], tuple[str, ...]]:
    """The flags of commands, and the beginnings of those that name a key of a mapping."""
    found = [flag for command in commands for flag in flags_of(command.config_class())]
    found += flags_of(RecipeFlags)
    return (
        {flag.name for flag in found},
        tuple(f"{flag.name}." for flag in found if get_origin(flag.hint) is dict),
    )


def is_known(flag: str, commands: list) -> bool:
    names, beginnings = flags(commands)
    return flag in names or flag.replace("--no-", "--", 1) in names or flag.startswith(beginnings)


@pytest.mark.parametrize(
    ("program", "name"), sorted(set(re.findall(r"(conan-data|conan-train) ([a-z][\w-]+)", README)))
)
def test_commands(program: str, name: str) -> None:
    assert name in {command.name for command in PROGRAMS[program]}


@pytest.mark.parametrize("flag", sorted(set(re.findall(r"--[a-z][\w.-]*[\w]", README)) - OF_OTHERS))
def test_flags(flag: str) -> None:
    assert is_known(flag, COMMANDS)


@pytest.mark.parametrize(
    "line", sorted(set(re.findall(r"conan-(?:data|train) [a-z-]+ [^`\n]*--[^`\n]*", README)))
)
def test_flags_stand_with_a_command_that_has_them(line: str) -> None:
    program, name, *_ = line.split()
    (command,) = (each for each in PROGRAMS[program] if each.name == name)
    for flag in re.findall(r"(?<!\S)--[a-z][\w.-]*\w", line.split("#")[0]):
        assert flag in OF_OTHERS or is_known(flag, [command]), flag


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?:pipelines|conan_data|conan_train|tests)/[\w./-]*\w", README)))
)
def test_files(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_recipe_binds(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(block)
    by_name = {command.name: command for command in COMMANDS}
    stages = recipe.load(tmp_path / "mine.yaml", by_name)
    outs = {
        bind(by_name[one.command], values_of(by_name[one.command], one), source=one.name).out
        for one in stages
    }
    assert outs == {Path("runs/mine") / one.name for one in stages} and len(stages) == 13
    made = re.findall(r"\$\{root\}/([\w-]+)", block)
    assert set(made) <= {one.name for one in stages}
