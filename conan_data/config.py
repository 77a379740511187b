"""Typed configs: what every stage's config has in common, and which of its fields decide the result.

A config is a frozen dataclass of plain types, so that importing it costs nothing and `--help` stays fast.
Fields that only say *how* to run (worker counts, progress, `overwrite`) are declared with `execution(...)`:
they are left out of the identity, so the same job with other workers is still the same job. Where the output
lies is not part of what it is, so `out` is left out too. Where an input lies is not either: fields that name inputs say so
in their type (see `inputs`), and their values are in the identity by their published names alone; what the inputs hold is
in the job (see `job`).
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from conan_data.errors import UserError
from conan_data.fields import Rule, convert, hints, refuse
from conan_data.inputs import input_marks

_UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}


def execution(default: Any) -> Any:
    """A dataclass field that changes how a stage runs but never what it writes."""
    return dataclasses.field(default=default, metadata={"identity": False})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A typed config: every field has the type and keeps to the limits that its annotation declares."""

    def __post_init__(self) -> None:
        for name, hint in hints(type(self)).items():  # type: ignore[arg-type]
            object.__setattr__(self, name, convert(hint, getattr(self, name), (name,)))
        self.check()

    def __init_subclass__(cls) -> None:
        assert "__post_init__" not in cls.__dict__, f"{cls.__name__}: rules across fields belong into check()"

    def check(self) -> None:
        """Check the rules across fields; a subclass extends it, with `require`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageConfig(Config):
    """What every stage takes: where its artifact goes, and whether one that is there may be replaced."""

    out: Path = dataclasses.field(metadata={"identity": False})
    """Directory the artifact is published to."""
    overwrite: bool = execution(False)
    """Replace an artifact of another config that is there already."""


def require(condition: bool, field: str, value: object, rule: str) -> None:
    """Raise `FieldError` naming `field`, the `rule` and the `value` unless `condition` holds.

    For rules across fields: `field` is named as seen from the config that checks it (`endpoint.model`).
    """
    if not condition:
        raise refuse(tuple(field.split(".")), rule, value)


def parse_memory(text: str) -> int:
    """Return the bytes of "2GB", "1.5 GiB", "500MB" or "1000000". Raises `UserError` for anything else."""
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,18})?)\s*([A-Za-z]*)", text.strip())
    unit = (match[2].upper() or "B") if match else ""
    if not match or unit not in _UNITS or int(float(match[1]) * _UNITS[unit]) == 0:
        raise UserError(f"memory: {_MEMORY}, got {text!r}")
    return int(float(match[1]) * _UNITS[unit])


def _is_memory(text: str) -> bool:
    try:
        return parse_memory(text) > 0
    except UserError:
        return False


_MEMORY = "must be an amount such as 2GB, 500MB or 1.5GiB"
Memory: TypeAlias = Annotated[str, Rule(_MEMORY, _is_memory)]
"""An amount of memory, as `parse_memory` reads it."""
MemoryOrEmpty: TypeAlias = Annotated[
    str, Rule(f"{_MEMORY}, or empty", lambda text: not text or _is_memory(text))
]


def resolved(config: Any) -> dict[str, Any]:
    """All fields of a config as JSON types, nested configs included."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def identity(config: Any, published: Callable[[str], str] = str) -> dict[str, Any]:
    """Return the fields that decide the result, as JSON types; `published` gives the name of an input without its place
    on this machine.
    """
    kind: Any = type(config)
    types = hints(kind)
    return {
        field.name: _identity_of(types[field.name], getattr(config, field.name), published)
        for field in dataclasses.fields(config)
        if field.metadata.get("identity", True)
    }


def _identity_of(hint: Any, value: Any, published: Callable[[str], str]) -> Any:
    if dataclasses.is_dataclass(value):
        return identity(value, published)
    if any(input_marks(hint)):
        return published(value) if isinstance(value, str) else [published(name) for name in value]
    if isinstance(value, Mapping):
        return {str(key): _identity_of(type(item), item, published) for key, item in value.items()}
    return _plain(value)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return resolved(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
