"""Flags of a typed config: each field is one, nested ones with dots (`--select.pool-size 64`).

cyclopts splits the command line. It is shown a flat function of the fields and gives back plain values, as a recipe
would hold them, of the flags that were set: `conan_data.fields` checks both in the same way.
"""

import contextlib
import dataclasses
import inspect
import json
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

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
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty

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
    from cyclopts import App, CycloptsError, Parameter

    def take(**_: Any) -> None:
        raise AssertionError("the values are read off, not handed on")

    take.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                flag.argument,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[
                    flag.hint, Parameter(name=flag.name, converter=_converter(flag.hint)), _Unchecked()
                ],
            )
            for flag in flags
        ]
    )
    app = App(
        name=name,
        version_flags=[],
        default_parameter=Parameter(negative_iterable=(), consume_multiple=True),
    )
    app.default(take)
    try:
        _, bound, _ = app.parse_args(list(tokens), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        error.verbose = False
        raise UserError(str(error)) from error
    return {flag.path: bound.arguments[flag.argument] for flag in flags if flag.argument in bound.arguments}


def _converter(hint: Any) -> Callable[[Any, Any], Any]:
    """Return `_plain` for a field; cyclopts itself hands on a type that no longer says whether None is taken."""
    is_optional = type(None) in get_args(hint)
    return lambda kind, tokens: _plain(hint if is_optional else kind, tokens)


class _Unchecked:
    """Tells pydantic that any value will do.

    Where some library has imported pydantic, cyclopts has it check every value and default, with messages of its own.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.any_schema()


def as_written(path: FieldPath, flags: Sequence[Flag]) -> str:
    """Return the flag of the field at `path`; the key of a mapping stays as it is (`--mix.zh_TW`)."""
    name = next((flag.name for flag in flags if flag.path == path[:-1]), None)
    return f"{name}.{path[-1]}" if name else _written(path)


def _written(path: FieldPath) -> str:
    # A field may end in an underscore where its name is a word of Python (`from_`).
    return "--" + ".".join(name.rstrip("_") for name in path).replace("_", "-")


def _plain(hint: Any, tokens: Any) -> Any:
    """Return what a recipe would hold for the text of a flag. What does not fit stays text, and is refused later."""
    if isinstance(tokens, dict):
        if dataclasses.is_dataclass(hint):
            kinds = get_type_hints(hint)
            return {
                key: _plain(kinds.get(key.replace("-", "_"), str), inner) for key, inner in tokens.items()
            }
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
