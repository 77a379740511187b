"""Inputs that are not there are named before a command imports what it works with, which takes seconds.

A field that names inputs says so in its type. Only what can be no input is refused here: each command still reads its
inputs by its own rules, with its own messages.
"""

import dataclasses
import glob
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_args

from annotated_types import MinLen

from conan_data import checkpoint_names, hub_names
from conan_data.fields import FieldError, PathMark, Rule, hints

SAMPLE = "sample"
"""The texts that come with the package."""


@dataclasses.dataclass(frozen=True)
class Input(PathMark):
    """Marks a text that names an input; `is_model`: which may lie on the Hub as `owner/name`."""

    is_model: bool = False
    names: tuple[str, ...] = ()
    """What the field takes besides."""
    pattern: re.Pattern[str] | None = None
    """What else may name an input that is no path, such as a task of mteb."""


@dataclasses.dataclass(frozen=True)
class Cache(PathMark):
    """Marks a text that names a folder which runs share."""


_BLANK = "must not be blank; write . where the current folder is meant"
NOT_BLANK = Rule(_BLANK, lambda text: bool(text.strip()))
EMPTY_OR_NOT_BLANK = Rule(_BLANK, lambda text: not text or bool(text.strip()))

DataPath: TypeAlias = Annotated[str, EMPTY_OR_NOT_BLANK, Input()]
"""A file, folder, artifact or glob, a data set on the Hub, or `sample`; empty where it is optional."""
DataPaths: TypeAlias = tuple[Annotated[str, NOT_BLANK, Input()], ...]
SomeDataPaths: TypeAlias = Annotated[DataPaths, MinLen(1)]
RequiredDataPath: TypeAlias = Annotated[DataPath, MinLen(1)]
ModelPath: TypeAlias = Annotated[str, MinLen(1), NOT_BLANK, Input(is_model=True)]
"""A model folder, a checkpoint of a training (`RUN@STEP`), or a name on the Hub."""
OptionalModelPath: TypeAlias = Annotated[str, EMPTY_OR_NOT_BLANK, Input(is_model=True)]
OptionalFolder: TypeAlias = Annotated[str, NOT_BLANK, PathMark()] | None
"""A folder; None where it is left out."""
CachePath: TypeAlias = Annotated[str, EMPTY_OR_NOT_BLANK, Cache()]
"""A folder that runs share; empty for none."""


def marked_texts(config: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], PathMark, str]]:
    """Yield (field, mark, text) for every path that a config, or one nested in it, names: inputs, caches and others."""
    kind: Any = type(config)
    for name, hint in hints(kind).items():
        value, field = getattr(config, name), (*path, name)
        if dataclasses.is_dataclass(value):
            yield from marked_texts(value, field)
        elif isinstance(value, dict):
            for key, item in value.items():
                if dataclasses.is_dataclass(item):
                    yield from marked_texts(item, (*field, key))
        for mark in path_marks(hint):
            for text in (value,) if isinstance(value, str) else value or ():
                yield field, mark, text


def check_inputs(config: Any) -> None:
    """Raise `FieldError` for the first field of a config, or of a nested one, that names an input that is not there."""
    for field, mark, text in marked_texts(config):
        if isinstance(mark, Input) and text not in mark.names:
            own = text.removeprefix(mark.prefix)
            if problem := _missing(own, mark):
                raise FieldError(field, f"{own}: {problem}")


def missing_inputs(config: Any) -> list[str]:
    """Return the inputs on this machine that a config, or a nested one, names and that are not there."""
    named = (
        (mark, text.removeprefix(mark.prefix))
        for _, mark, text in marked_texts(config)
        if isinstance(mark, Input) and text not in mark.names
    )
    return [
        text for mark, text in named if (glob.has_magic(text) and not glob.glob(text)) or _missing(text, mark)
    ]


def named_sources(config: Any) -> list[str]:
    """Return the values of all fields that name inputs, also of nested configs."""
    return [text for _, mark, text in marked_texts(config) if isinstance(mark, Input) and text]


def input_marks(hint: Any) -> Iterator[Input]:
    """Yield the marks of a field's type, one for a field that names inputs."""
    return (mark for mark in path_marks(hint) if isinstance(mark, Input))


def path_marks(hint: Any) -> Iterator[PathMark]:
    """Yield the marks of a field's type, one for a field that names inputs or a cache."""
    for part in (*get_args(hint), *getattr(hint, "__metadata__", ())):
        if isinstance(part, PathMark):
            yield part
        else:
            yield from path_marks(part)


def _missing(text: str, mark: Input) -> str:
    """What is wrong with an input; nothing where it may be there."""
    path = Path(text)
    if not text or _exists(path) or (mark.pattern and mark.pattern.fullmatch(text)):
        return ""
    if mark.is_model and (name := checkpoint_names.parse(text)) is not None:
        return checkpoint_names.missing(name)
    if mark.is_model:
        may_be_there = hub_names.parse_model(text) is not None and not path.parent.is_dir()
    else:
        may_be_there = text == SAMPLE or hub_names.is_name(text) or glob.has_magic(text)
    if may_be_there:
        return ""
    unfinished = path.with_name(path.name + ".partial")
    if _exists(unfinished):
        return f"no such directory; {unfinished.name} is unfinished: run its command again"
    return (
        "no such directory, and not a name on the Hub (owner/name)"
        if mark.is_model
        else "no such file or directory"
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # A name that is too long for the file system, or a folder that may not be read.
        return False
