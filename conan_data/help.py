"""`--help` of a program and of a command: fields under the docstring of the config class that holds them.

It is written here, not by cyclopts, which takes half a second for the hundred fields of a large command.
"""

import ast
import inspect
import itertools
import shutil
import sys
import textwrap
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from conan_data.flags import Flag

_LEFT = 36
"""Columns that names of flags have beside their descriptions; a longer name has a line of its own."""
_TYPES = {int: "INT", float: "FLOAT", str: "STR", Path: "PATH", bool: ""}


def command_help(name: str, about: str, flags: Sequence[Flag]) -> str:
    """Return the help of a command: all flags with types and defaults; those of a nested config by themselves."""
    required = " ".join(_left(flag) for flag in flags if flag.is_required)
    parts = [f"Usage: {name} {required}{' ' if required else ''}[OPTIONS]", about]
    by_part: dict[str, list[Flag]] = {"": []}
    for flag in flags:
        by_part.setdefault(flag.path[0] if len(flag.path) > 1 else "", []).append(flag)
    for part, members in by_part.items():
        heading = f"{part}: {_one_line(members[0].owner.__doc__)}" if part else "Parameters:"
        rows = _rows((_left(flag), _description(flag)) for flag in members)
        parts.append("\n".join([*textwrap.wrap(heading, _width()), rows]))
    return "\n\n".join(parts)


def program_help(name: str, about: str, commands: Mapping[str, str]) -> str:
    """Return the help of a program: its commands, and what each does."""
    rows = _rows(commands.items())
    return "\n\n".join(
        (
            f"Usage: {name} COMMAND",
            about,
            f"Commands:\n{rows}",
            f"{name} COMMAND --help lists a command's fields.",
        )
    )


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    left = min(_LEFT, max(len(name) for name, _ in rows) + 2)
    lines = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, max(20, _width() - left - 2)) or [""]
        first = f"  {name:{left}}" + wrapped.pop(0) if len(name) < left else f"  {name}"
        lines += [first.rstrip(), *(f"  {'':{left}}{line}" for line in wrapped)]
    return "\n".join(lines)


def _left(flag: Flag) -> str:
    if get_origin(flag.hint) is dict:
        name, kind = flag.name, flag.hint
        while get_origin(kind) is dict:
            name, kind = f"{name}.NAME", get_args(kind)[1]
        return f"{name}{'.FIELD VALUE' if is_dataclass(kind) else f' {_type_name(kind)}'}"
    if flag.hint is bool:
        *parents, own = flag.name.removeprefix("--").split(".")
        return f"{flag.name} --{'.'.join([*parents, 'no-' + own])}"
    return f"{flag.name} {_type_name(flag.hint)}"


def _description(flag: Flag) -> str:
    choices = _choices(flag.hint)
    default = "" if flag.is_required or flag.default is None else f"[default: {_shown(flag.default)}]"
    words = (
        field_docs(flag.owner).get(flag.path[-1], ""),
        f"[choices: {', '.join(map(str, choices))}]" if choices else "",
        "[required]" if flag.is_required else default,
    )
    return " ".join(word for word in words if word)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, (str, dict)):
        return str(value) if value else "empty"
    return str(value)


def _choices(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if int in get_args(hint):  # A number, or a word that the description names.
        return ()
    return next((found for inner in get_args(hint) if (found := _choices(inner))), ())


def _type_name(hint: Any) -> str:
    arguments = [inner for inner in get_args(hint) if inner is not types.NoneType]
    if get_origin(hint) is Literal:
        return "CHOICE"
    if get_origin(hint) is tuple:
        names = [_type_name(inner) for inner in arguments if inner is not ...]
        return f"{names[0]}..." if ... in arguments else " ".join(names)
    if get_origin(hint) in (Union, types.UnionType):
        return _type_name(arguments[0])
    return _TYPES[hint]


@cache
def field_docs(kind: type) -> Mapping[str, str]:
    """Return what stands under each field of a config class, and of its bases, in their source."""
    docs = {}
    for base in reversed(kind.__mro__[:-1]):
        classes = [node for node in _module(base.__module__).body if isinstance(node, ast.ClassDef)]
        body = next((node.body for node in classes if node.name == base.__name__), [])
        for field, doc in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr):
                docs[ast.unparse(field.target)] = _one_line(ast.literal_eval(doc.value))
    return docs


@cache
def _module(name: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[name]))


def _one_line(text: str | None) -> str:
    return " ".join((text or "").replace("`", "").split())


def _width() -> int:
    return max(60, min(120, shutil.get_terminal_size().columns))
