"""Typed configs: what every stage's config has in common, and which of its fields decide the result.

A config is a frozen dataclass of plain types, so that importing it costs nothing and `--help` stays fast.
Fields that only say *how* to run (worker counts, progress, `overwrite`) are declared with `execution(...)`:
they are left out of the identity, so the same job with other workers is still the same job. Where the output
lies is not part of what it is, so `out` is left out too. Where an input lies is not either: fields that name inputs are
declared with `source(...)`, and their values are in the identity by their published names alone; what the inputs
hold is in the job (see `job`).
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from conan_data.errors import UserError
from conan_data.public_names import published_value

T = TypeVar("T")

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


def source(default: Any = dataclasses.MISSING) -> Any:
    """Return a dataclass field that names inputs, by path or otherwise: text, or a tuple of it."""
    return dataclasses.field(default=default, metadata={"source": True})


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageConfig:
    """What every stage takes: where its artifact goes, and whether one that is there may be replaced."""

    out: Path = dataclasses.field(metadata={"identity": False})
    """Directory the artifact is published to."""
    overwrite: bool = execution(False)
    """Replace an artifact of another config that is there already."""


def require(condition: bool, field: str, value: object, rule: str) -> None:
    """Raises `UserError` naming `field`, its `value` and the `rule` unless `condition` holds; called in
    `__post_init__`.
    """
    if not condition:
        raise UserError(f"{field}: {rule}, got {value!r}")


def parse_memory(text: str) -> int:
    """Bytes of "2GB", "1.5 GiB", "500MB" or "1000000"; raises `UserError` for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    unit = (match[2].upper() or "B") if match else ""
    if not match or unit not in _UNITS or float(match[1]) == 0:
        raise UserError(f"memory: must be an amount such as 2GB, 500MB or 1.5GiB, got {text!r}")
    return int(float(match[1]) * _UNITS[unit])


def resolved(config: Any) -> dict[str, Any]:
    """All fields of a config as JSON types, nested configs included."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_resolved(kind: type[T], values: Mapping[str, Any]) -> T:
    """The config of class `kind` whose `resolved` form is `values`."""
    hints = get_type_hints(kind)
    return kind(**{name: _typed(hints[name], value) for name, value in values.items()})


def _typed(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_resolved(hint, value)  # type: ignore[arg-type]
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if hint is Path else value


def identity(config: Any) -> dict[str, Any]:
    """The fields that decide the result, as JSON types, without where on this machine anything lies."""
    return {
        field.name: _identity_of(field, getattr(config, field.name))
        for field in dataclasses.fields(config)
        if field.metadata.get("identity", True)
    }


def named_sources(config: Any) -> list[str]:
    """The values of all fields that name inputs, also of nested configs."""
    found: list[str] = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found += named_sources(value)
        elif field.metadata.get("source") and value:
            found += [value] if isinstance(value, str) else list(value)
    return found


def _identity_of(field: dataclasses.Field[Any], value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return identity(value)
    if field.metadata.get("source"):
        return published_value(value) if isinstance(value, str) else [published_value(name) for name in value]
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
