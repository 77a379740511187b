"""Flags of a typed config: each field is one, nested ones with dots (`--select.pool-size 64`).

cyclopts splits the command line and prints the help. It is shown a flat function of the fields and gives back plain
values, as a recipe would hold them, of the flags that were set: `conan_data.fields` checks both in the same way.
"""

import ast
import contextlib
import dataclasses
import inspect
import itertools
import json
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from cyclopts import App, CycloptsError, Group, Parameter, Token

from conan_data.errors import UserError
from conan_data.fields import is_required

FieldPath: TypeAlias = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Flag:
    """A field on the command line; `owner` is the config class that it belongs to."""

    path: FieldPath
    hint: Any
    default: Any
    owner: type

    @property
    def name(self) -> str:
        """The flag as it is written: `--select.pool-size`."""
        return _written(self.path)

    @property
    def argument(self) -> str:
        """Its name as an argument of a Python function."""
        return "__".join(self.path)


def flags_of(kind: type, path: FieldPath = (), defaults: Any = None) -> Iterator[Flag]:
    """Yield the flags of a config class; `defaults` is the instance that a nested config is by default."""
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        own, hint = (*path, field.name), hints[field.name]
        if defaults is not None:
            default = getattr(defaults, field.name)
        elif is_required(field):
            default = inspect.Parameter.empty
        else:
            default = field.default_factory() if callable(field.default_factory) else field.default
        if dataclasses.is_dataclass(hint):
            yield from flags_of(hint, own, default)  # type: ignore[arg-type]
        else:
            yield Flag(own, hint, default, kind)


def parse(name: str, flags: Sequence[Flag], tokens: Sequence[str]) -> dict[FieldPath, Any]:
    """Return the plain values of the flags that `tokens` set, by path.

    Raises `UserError` for an unknown flag, naming the nearest one, and for a flag without its value.
    """
    app = _app(name, "", flags, lambda flag: Parameter(name=flag.name), is_help=False)
    try:
        _, bound, _ = app.parse_args(list(tokens), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        error.verbose = False
        raise UserError(str(error)) from error
    return {flag.path: bound.arguments[flag.argument] for flag in flags if flag.argument in bound.arguments}


def print_help(name: str, about: str, flags: Sequence[Flag]) -> None:
    """Print all flags with their defaults; those of a nested config in a panel under its docstring."""
    panels: dict[str, Group] = {}

    def describe(flag: Flag) -> Parameter:
        doc = field_docs(flag.owner).get(flag.path[-1], "")
        if get_origin(flag.hint) is dict:
            doc += f" Write {flag.name}.NAME VALUE for each."
        parameter = Parameter(name=flag.name, help=doc)
        if len(flag.path) == 1:
            return parameter
        part = flag.path[0]
        if part not in panels:
            panels[part] = Group(part, help=_one_line(flag.owner.__doc__), sort_key=len(panels) + 1)
        return Parameter.combine(parameter, Parameter(group=panels[part]))

    _app(name, about, flags, describe, is_help=True).help_print()


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


def as_written(path: FieldPath, flags: Sequence[Flag]) -> str:
    """Return the flag of the field at `path`; the key of a mapping stays as it is (`--mix.zh_TW`)."""
    name = next((flag.name for flag in flags if flag.path == path[:-1]), None)
    return f"{name}.{path[-1]}" if name else _written(path)


def _written(path: FieldPath) -> str:
    return "--" + ".".join(path).replace("_", "-")


def _one_line(text: str | None) -> str:
    return " ".join((text or "").replace("`", "").split())


def _app(
    name: str, about: str, flags: Sequence[Flag], describe: Callable[[Flag], Parameter], *, is_help: bool
) -> App:
    def take(**_: Any) -> None:
        raise AssertionError("the values are read off, not handed on")

    take.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                flag.argument,
                inspect.Parameter.KEYWORD_ONLY,
                # Required is a matter of the help alone: a recipe may give the value.
                default=None if flag.default is inspect.Parameter.empty and not is_help else flag.default,
                annotation=Annotated[flag.hint, describe(flag)],
            )
            for flag in flags
        ]
    )
    app = App(
        name=name,
        help=about,
        help_format="plaintext",
        version_flags=[],
        default_parameter=Parameter(negative_iterable=(), consume_multiple=True, converter=_plain),
    )
    app.default(take)
    return app


def _plain(hint: Any, tokens: Sequence[Token] | dict[str, Any]) -> Any:
    """Return what a recipe would hold for the text of a flag. What does not fit stays text, and is refused later."""
    if isinstance(tokens, dict):
        kind = get_args(hint)[1] if get_origin(hint) is dict else str
        return {key: _plain(kind, inner) for key, inner in tokens.items()}
    texts = [token.value for token in tokens]
    if get_origin(hint) is dict and texts[-1].startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(texts[-1])
    if get_origin(hint) is tuple:
        return [_word(get_args(hint)[0], text) for text in texts]
    return _word(hint, texts[-1])


def _word(hint: Any, text: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return None if text.lower() in ("none", "null") else _word(get_args(hint)[0], text)
    kinds = {type(choice) for choice in get_args(hint)} if get_origin(hint) is Literal else {hint}
    if bool in kinds:
        return {"true": True, "false": False}.get(text.lower(), text)
    for kind in (int, float):
        if kinds & {int, float}:
            try:
                return kind(text)
            except ValueError:
                continue
    return text
