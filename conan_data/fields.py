"""Fields of a config: their limits, and the conversion of a value to the type that a field declares.

A limit stands in the field's annotation, in the vocabulary of `annotated_types` (`Count` is a whole number of at
least 1), so it is declared once and checked wherever a config is made: from flags, a recipe, a manifest or in Python.
An error carries the path of the field from the outermost config down (`select`, `pool_size`): each config that holds
another one adds its own name, and whoever reports the error writes the path as the user does.
"""

import dataclasses
import difflib
import numbers
import operator
import os
import re
import reprlib
import types
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from annotated_types import BaseMetadata, Ge, Gt, Le, Lt, MinLen

from conan_data.errors import UserError

T = TypeVar("T")
INTEGERS: tuple[Any, ...] = (int, numbers.Integral)
REALS: tuple[Any, ...] = (float, numbers.Real)
INT_BOUND = 2**63
"""Whole numbers are below this, as in every library that they are handed to."""
_BOUNDS: dict[type, tuple[str, Callable[[Any, Any], bool], str]] = {
    Ge: ("ge", operator.ge, "at least"),
    Gt: ("gt", operator.gt, "above"),
    Le: ("le", operator.le, "at most"),
    Lt: ("lt", operator.lt, "below"),
}
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 120, 120, 40


@dataclasses.dataclass(frozen=True)
class Rule(BaseMetadata):
    """A limit that `annotated_types` has no word for; `text` says it after the field's name."""

    text: str
    holds: Callable[[Any], bool]


@dataclasses.dataclass(frozen=True)
class PathMark(BaseMetadata):
    """Marks a text as a path: a leading `~` or `~user` becomes that home directory, as in a shell, which sees only
    paths that stand alone and neither `--out=~/x` nor a recipe.
    """

    prefix: str = ""
    """What stands before the path (`fasttext:`)."""

    def expanded(self, value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith(self.prefix):
            return value
        return self.prefix + os.path.expanduser(value.removeprefix(self.prefix))


DISTINCT = Rule("name each once", lambda values: len(set(values)) == len(values))

Count: TypeAlias = Annotated[int, Ge(1)]
NonNegativeInt: TypeAlias = Annotated[int, Ge(0)]
PositiveFloat: TypeAlias = Annotated[float, Gt(0)]
NonNegativeFloat: TypeAlias = Annotated[float, Ge(0)]
Share: TypeAlias = Annotated[float, Ge(0), Le(1)]
Cosine: TypeAlias = Annotated[float, Ge(-1), Le(1)]
Name: TypeAlias = Annotated[str, MinLen(1)]
_FILE_NAME = re.compile(r"\w[\w.-]{0,99}")
FILE_NAME = Rule(
    "may become a part of a file name: must be letters, digits, _, - and ., must not begin with - or ., and have at "
    "most 100 characters",
    lambda text: _FILE_NAME.fullmatch(text) is not None and len(text.encode()) <= 200,
)
FileName: TypeAlias = Annotated[str, FILE_NAME]


def _has_group(pattern: str) -> bool:
    """Return whether `pattern` is empty, or a regular expression with at least one group."""
    try:
        return not pattern or re.compile(pattern).groups > 0
    except re.error:
        return False


GROUP_REGEX = Rule("must be a regular expression with a bracketed part to take the group from", _has_group)
GroupRegex: TypeAlias = Annotated[str, GROUP_REGEX]
WORD = Rule(
    "must be at most 100 letters, digits and underscores",
    lambda text: re.fullmatch(r"\w{0,100}", text) is not None,
)
"""For a split that is written: `datasets` and mteb do not find a file of another name."""
Names: TypeAlias = Annotated[tuple[str, ...], MinLen(1)]


class FieldError(UserError):
    """The value of a field cannot be used. `path` holds the names that lead to the field, outermost first; where
    `template` says {flag}, `rule` has the flag of that path.
    """

    def __init__(self, path: tuple[str, ...], template: str) -> None:
        self.path = path
        self.template = template
        self.rule = template.replace("{flag}", "--" + ".".join(path).replace("_", "-"))
        super().__init__(f"{'.'.join(path)}: {self.rule}")


def refuse(path: tuple[str, ...], rule: str, value: object) -> FieldError:
    """Return the error of a `value` that breaks a `rule`; a long value is shortened."""
    return FieldError(path, f"{rule}, got {shorten(value)}")


def shorten(value: object) -> str:
    """Return the `repr` of a value, shortened to about a line."""
    return _SHORT.repr(value)


def build(kind: type[T], values: Mapping[str, Any], path: tuple[str, ...] = ()) -> T:
    """Return the config of class `kind` whose fields have `values`; nested configs are mappings.

    Raises `FieldError` for an unknown or missing field and for a value that a field does not take.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise FieldError((*path, str(name)[:120]), f"is no field of this{nearest(name, fields)}")
    for name, field in fields.items():
        if name not in values and is_required(field):
            raise FieldError((*path, name), "is missing")
    try:
        return kind(**values)
    except FieldError as error:
        raise FieldError((*path, *error.path), error.template) from None


def is_required(field: "dataclasses.Field[Any]") -> bool:
    """Return whether a field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@cache
def hints(kind: type) -> dict[str, Any]:
    """Return the types of the fields of a config class, limits included."""
    return get_type_hints(kind, include_extras=True)


def convert(hint: Any, value: Any, path: tuple[str, ...]) -> Any:
    """Return `value` as the type `hint`: a list becomes a tuple, a mapping a nested config, text a path.

    An `os.PathLike` is the text of its path. Nothing else is guessed: a number is no text, text no number, neither 1.5
    nor true a whole number. Raises `FieldError` with the path, the rule and the value.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _within(hint.__metadata__, convert(arguments[0], value, path), path)
    if origin in (Union, types.UnionType):
        words = {word for kind in arguments if get_origin(kind) is Literal for word in get_args(kind)}
        is_whole = (value is None and types.NoneType in arguments) or (
            isinstance(value, str) and value in words
        )
        return value if is_whole else convert(arguments[0], value, path)
    if origin is Literal:
        return _choice(arguments, value, path)
    if origin is tuple:
        return _tuple(arguments, value, path)
    if origin is dict:
        return _mapping(arguments[1], value, path)
    if dataclasses.is_dataclass(hint):
        return _nested(hint, value, path)  # type: ignore[arg-type]
    return _scalar(hint, value, path)


def nearest(name: object, known: Collection[str]) -> str:
    """Return ` (did you mean ...?)` for a misspelt name, or nothing."""
    close = difflib.get_close_matches(name, known, n=1) if isinstance(name, str) and len(name) < 100 else []
    return f" (did you mean {close[0]!r}?)" if close else ""


def _within(limits: tuple[Any, ...], value: Any, path: tuple[str, ...]) -> Any:
    bounds = [(limit, *_BOUNDS[type(limit)]) for limit in limits if type(limit) in _BOUNDS]
    if not all(holds(value, getattr(limit, name)) for limit, name, holds, _ in bounds):
        words = " and ".join(f"{word} {getattr(limit, name)}" for limit, name, _, word in bounds)
        raise refuse(path, "must not be negative" if words == "at least 0" else f"must be {words}", value)
    for limit in limits:
        if isinstance(limit, PathMark):
            value = limit.expanded(value)
        if isinstance(limit, MinLen) and len(value) < limit.min_length:
            raise refuse(path, "must not be empty" if isinstance(value, str) else "name at least one", value)
        if isinstance(limit, Rule) and not limit.holds(value):
            raise refuse(path, limit.text, value)
    return value


def _choice(choices: tuple[Any, ...], value: Any, path: tuple[str, ...]) -> Any:
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return value
    names = [str(choice) for choice in choices]
    raise refuse(path, f"must be one of {', '.join(names)}{nearest(value, names)}", value)


def _tuple(kinds: tuple[Any, ...], value: Any, path: tuple[str, ...]) -> tuple[Any, ...]:
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, (list, tuple)):
        raise refuse(path, "must be a list", value)
    if kinds[-1] is ...:
        return tuple(convert(kinds[0], item, path) for item in value)
    if len(value) != len(kinds):
        raise refuse(path, f"must be a list of {len(kinds)}", value)
    return tuple(convert(kind, item, path) for kind, item in zip(kinds, value))


def _mapping(kind: Any, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        name, _, text = (
            value.partition("=") if isinstance(value, str) and "=" in value else ("NAME", "", "VALUE")
        )
        rule = f"is a mapping; write {{flag}}.{name[:60]} {text[:60]} as a flag, {{NAME: VALUE}} in a recipe"
        raise refuse(path, rule, value)
    return {convert(Name, key, path): convert(kind, item, (*path, str(key))) for key, item in value.items()}


def _nested(kind: type, value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise refuse(path, "must map fields to values", value)
    return build(kind, value, path)


def _scalar(kind: Any, value: Any, path: tuple[str, ...]) -> Any:
    if kind is bool:
        if not isinstance(value, bool):
            raise refuse(path, "must be true or false", value)
        return value
    if kind is int:
        if isinstance(value, bool) or not isinstance(value, INTEGERS):
            raise refuse(path, "must be a whole number", value)
        if not -INT_BOUND < value < INT_BOUND:
            raise refuse(path, "must be a whole number of at most 63 bits", value)
        return int(value)
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, REALS):
            raise refuse(path, "must be a number", value)
        if not abs(value) < INT_BOUND:
            raise refuse(path, "must be a finite number below 2^63", value)
        return float(value)
    return _text(kind, value, path)


def _text(kind: Any, value: Any, path: tuple[str, ...]) -> Any:
    if not isinstance(value, (str, kind)):
        raise refuse(path, "must be text, in a recipe between quotes", value)
    if "\0" in str(value) or not _is_unicode(str(value)):
        raise refuse(path, "must be Unicode text without NUL", value)
    if kind is not str and not str(value):
        raise refuse(path, "must not be empty", value)
    return kind(value) if kind is str else kind(os.path.expanduser(value))


def _is_unicode(text: str) -> bool:
    """Return whether `text` can be written as UTF-8; the command line hands other bytes on as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
