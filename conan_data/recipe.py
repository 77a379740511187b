"""Recipes: YAML files that say, with all values written out, how an artifact or a whole path of them is made.

A recipe is a mapping of stages in the order they run. A stage is named after its command, or says `command:`;
its other keys are the fields of that command's config. `${root}` is the folder below which the recipe writes, given by
the key `root` and changed by a flag; a stage that names no `out` writes to `${root}/STAGE`. Paths are relative to the
current folder; those that begin with `${here}` are relative to the folder of the recipe:

    root: runs/mine
    corpus: {command: build-corpus, input: ["${here}/texts/*.jsonl"], languages: [en, de]}
    tokenizer: {corpus: ["${root}/corpus"], vocab_size: 32000}
"""

import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conan_data.errors import UserError
from conan_data.fields import nearest, shorten

MAX_BYTES = 4_000_000
"""A larger file is no recipe."""


@dataclass(frozen=True)
class Stage:
    """One step of a recipe: its name there, the command that it runs, and that command's values."""

    name: str
    command: str
    values: dict[str, Any]
    default_out: str
    """Where its artifact goes unless its values say so."""


def load(path: str | Path, commands: Collection[str], *, root: str | None = None) -> list[Stage]:
    """Return the stages of the recipe at `path`, in order, with `${root}` filled in.

    Raises `UserError` naming the file and the key for what is not a recipe or names an unknown command.
    """
    from conan_data.yaml_text import parse_yaml

    try:
        content = parse_yaml(_read(Path(path)))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: a recipe is a mapping from stages to their values")
    own_root = content.pop("root", "runs")
    if not isinstance(own_root, str) or not own_root.strip():
        raise UserError(f"{path}: root: must be the path of a folder, got {shorten(own_root)}")
    here = str(Path(path).parent)
    variables = {
        "here": here,
        "root": _fill(own_root, f"{path}: root", {"here": here}) if root is None else root,
    }
    return [_stage(path, name, section, commands, variables) for name, section in content.items()]


def pick(stages: list[Stage], command: str, *, path: str | Path, name: str | None) -> Stage:
    """Return the stage that `command` runs: the one called `name`, or the only one of that command."""
    of_command = [stage for stage in stages if stage.command == command]
    own = [stage for stage in of_command if name in (None, stage.name)]
    if len(own) == 1:
        return own[0]
    names = ", ".join(stage.name for stage in of_command[:10]) + (", ..." if len(of_command) > 10 else "")
    if not own:
        raise UserError(
            f"{path}: has no stage {name or command!r} for the command {command} ({'it has ' + names if names else 'none at all'})"
        )
    raise UserError(f"{path}: has several stages for {command} ({names}); choose one with --stage")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and path.exists() else "no such recipe"
        raise UserError(reason or "cannot be read") from None
    if len(content) > MAX_BYTES:
        raise UserError(f"is larger than {MAX_BYTES:,} bytes, which no recipe is")
    return content


def _stage(
    path: str | Path,
    name: object,
    section: object,
    commands: Collection[str],
    variables: Mapping[str, str],
) -> Stage:
    if not isinstance(name, str):
        raise UserError(f"{path}: {shorten(name)}: the name of a stage must be text, in quotes")
    if not isinstance(section, dict):
        raise UserError(
            f"{path}: {name}: a stage is a mapping from fields to values{nearest(name, ['root', *commands])}"
        )
    values = dict(section)
    command = values.pop("command", name)
    if not isinstance(command, str) or command not in commands:
        raise UserError(f"{path}: {name}: {shorten(command)} is not a command{nearest(command, commands)}")
    values = _fill(values, f"{path}: {name}", variables)
    return Stage(name=name, command=command, values=values, default_out=f"{variables['root']}/{name}")


def _fill(value: Any, where: str, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, f"{where}.{key}", variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, where, variables) for item in value]
    if isinstance(value, str):
        try:
            return string.Template(value).substitute(variables)
        except (KeyError, ValueError):
            names = " and ".join(f"${{{name}}}" for name in variables)
            raise UserError(
                f"{where}: {shorten(value)}: the variables are {names} (write $$ for a dollar sign)"
            ) from None
    return value
