"""Which fields of a row are the text, the id and the group: users' files name them differently."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conan_data.errors import UserError
from conan_data.readers import Row, is_web, read_rows

LOOKED_AT = 100
"""Rows of a file, and files, that are looked at for the text field before any work."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a row has its text, its id and its group ("": nowhere), as dotted paths; instead of a group's field, regular
    expressions whose first bracketed part names it, searched in the id or in the path of the file below the input.
    """

    text: str = "text"
    id: str = "id"
    group: str = ""
    group_regex: str = ""
    group_path_regex: str = ""


def lookup(values: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, which may also be the name of one column; None where there is none."""
    found = values.get(path)
    if found is not None or "." not in path:
        return found
    head, _, rest = path.partition(".")
    inner = values.get(head)
    return lookup(inner, rest) if isinstance(inner, Mapping) else None


def check_text_field(files: Iterable[Path], text_field: str) -> None:
    """Raises `UserError` when the first rows of the first files are there, and none has the text field: the
    message names the fields that they have.
    """
    seen: dict[str, None] = {}
    for _, path in zip(range(LOOKED_AT), files):
        if is_web(path):
            return
        for number, item in enumerate(read_rows(path)):
            if isinstance(item, Row):
                if lookup(item.values, text_field) is not None:
                    return
                seen |= dict.fromkeys(_paths(item.values))
            if number == LOOKED_AT:
                break
    if seen:
        raise UserError(f"text_field: no row has the field {text_field!r}; the fields are {', '.join(seen)}")


def _paths(values: dict[str, object], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{name}.")
        else:
            yield prefix + name
