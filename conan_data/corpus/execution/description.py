"""What another process or machine needs to know to run tasks: steps as plain JSON.

Steps and what they hold (configs, paths, numbers) are plain values in the end, so they are written as such: a
file that can be read and compared, that only names classes, and from which the same steps are built. A step
that holds anything else, such as an open file, is a mistake in that step, and refused before anything is sent.
"""

import dataclasses
import importlib
import json
import os
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

OWN_STATE = ("stats",)
"""What datatrove sets in every step."""
_COLLECTIONS: dict[str, Callable[[list[Any]], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}


@dataclass(frozen=True, kw_only=True)
class TaskSet:
    """A datatrove pipeline that `tasks` tasks run, each on its share, with steps of its own."""

    name: str
    tasks: int
    steps: tuple[PipelineStep, ...]

    @property
    def slug(self) -> str:
        """The name as part of a file name."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    def task(self, rank: int) -> str:
        """As messages name a task."""
        return f"task {rank} of {self.tasks} ({self.name})"

    def build(self) -> list[PipelineStep]:
        """Steps for one task."""
        return deepcopy(list(self.steps))

    def to_json(self) -> str:
        """Everything that `from_json` needs, and the working directory, from which relative paths count."""
        found = {"name": self.name, "tasks": self.tasks, "directory": os.getcwd()}
        text = json.dumps(found | {"steps": _encode(list(self.steps))}, indent=1, ensure_ascii=False)
        back = self.from_json(text)
        assert _encode(list(back.steps)) == _encode(list(self.steps)), f"{self.name}: steps do not come back"
        return text

    @classmethod
    def from_json(cls, text: str) -> "TaskSet":
        """The tasks that `to_json` described."""
        found = json.loads(text)
        return cls(name=found["name"], tasks=found["tasks"], steps=tuple(_decode(found["steps"])))


def working_directory(text: str) -> Path:
    """Where the process that described tasks was."""
    return Path(json.loads(text)["directory"])


def _encode(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, Mapping):
        return {"mapping": [[_encode(key), _encode(item)] for key, item in value.items()]}
    if type(value).__name__ in _COLLECTIONS:
        items = value if isinstance(value, tuple) else sorted(value)
        return {type(value).__name__: [_encode(item) for item in items]}
    if isinstance(value, PipelineStep):
        fields = {name: item for name, item in vars(value).items() if name not in OWN_STATE}
    else:
        assert dataclasses.is_dataclass(value), (
            f"{type(value).__name__} {value!r} cannot be sent to another machine"
        )
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    kind = type(value)
    return {
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "fields": {name: _encode(item) for name, item in fields.items()},
    }


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class" in value:
        return _build(value["class"], {name: _decode(item) for name, item in value["fields"].items()})
    [(kind, content)] = value.items()
    if kind == "path":
        return Path(content)
    if kind == "mapping":
        return {_decode(key): _decode(item) for key, item in content}
    return _COLLECTIONS[kind](_decode(content))


def _build(path: str, fields: dict[str, Any]) -> Any:
    module, _, name = path.partition(":")
    kind = getattr(importlib.import_module(module), name)
    found = kind.__new__(kind)
    if isinstance(found, PipelineStep):
        PipelineStep.__init__(found)
    # Not through the constructor, which takes other arguments than what it keeps, and has checked these before.
    for field, value in fields.items():
        object.__setattr__(found, field, value)
    return found
