"""Recipes: YAML files that say, with all values written out, how an artifact or a whole path of them is made.

A recipe is a mapping of stages in the order they run. A stage is named after its command, or says `command:`;
its other keys are the fields of that command's config. The one variable is `${root}`, the folder below which
the recipe writes, given by the key `root` and changed by a flag:

    root: runs/mine
    corpus: {command: build-corpus, input: [texts/*.jsonl], out: "${root}/corpus", languages: [en, de]}
    tokenizer: {corpus: ["${root}/corpus"], out: "${root}/tokenizer", vocab_size: 32000}
"""

import difflib
import string
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from conan_data.errors import UserError


@dataclass(frozen=True)
class Stage:
    """One step of a recipe: its name there, the command that it runs, and that command's values."""

    name: str
    command: str
    values: dict[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML lets a key stand twice and keeps the last; in a recipe that is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {twice!r} stands twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


# YAML 1.1 reads `no` as false, which is the code of Norwegian in every list of languages, and `1e-4` as text.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool",
    __import__("re").compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    list("tTfF"),
)


def load(path: str | Path, commands: Collection[str], *, root: str | None = None) -> list[Stage]:
    """The stages of the recipe at `path`, in order, with `${root}` filled in.

    Raises `UserError` naming the file and the key for what is not a recipe or names an unknown command.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)  # noqa: S506 (a SafeLoader)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such recipe") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: a recipe is a mapping from stages to their values")
    own_root = content.pop("root", "runs")
    return [_stage(path, name, section, commands, str(root or own_root)) for name, section in content.items()]


def pick(stages: list[Stage], command: str, *, path: str | Path, name: str | None) -> Stage:
    """The stage that `command` runs: the one called `name`, or the only one of that command."""
    own = [stage for stage in stages if stage.command == command and name in (None, stage.name)]
    if len(own) == 1:
        return own[0]
    names = ", ".join(stage.name for stage in stages if stage.command == command)
    if not own:
        raise UserError(
            f"{path}: has no stage {name or command!r} for the command {command} ({'it has ' + names if names else 'none at all'})"
        )
    raise UserError(f"{path}: has several stages for {command} ({names}); choose one with --stage")


def nearest(name: str, known: Collection[str]) -> str:
    """` (did you mean ...?)` for a misspelt name, or nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _stage(path: str | Path, name: str, section: object, commands: Collection[str], root: str) -> Stage:
    if not isinstance(section, dict):
        raise UserError(
            f"{path}: {name}: a stage is a mapping from fields to values{nearest(name, ['root', *commands])}"
        )
    values = dict(section)
    command = values.pop("command", name)
    if command not in commands:
        raise UserError(f"{path}: {name}: {command!r} is not a command{nearest(command, commands)}")
    return Stage(name=name, command=command, values=_fill(values, f"{path}: {name}", root))


def _fill(value: Any, where: str, root: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, f"{where}.{key}", root) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, where, root) for item in value]
    if isinstance(value, str):
        try:
            return string.Template(value).substitute(root=root)
        except (KeyError, ValueError):
            raise UserError(
                f"{where}: {value!r}: ${{root}} is the only variable (write $$ for a dollar sign)"
            ) from None
    return value
