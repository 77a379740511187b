"""What another process or machine needs to know to run a task: a pass over the input, as plain values.

A pass is not sent as objects. It is named by the function that builds its steps, and that function gets the
resolved config and a few plain arguments; so what a node of a cluster runs can be read in a JSON file.
"""

import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from conan_data.config import StageConfig, resolved


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A datatrove pipeline that `tasks` tasks run, each with its own steps: `steps(config, **arguments)`.

    `steps` is a function of a module, `arguments` are JSON types (paths as strings).
    """

    name: str
    tasks: int
    steps: Callable[..., Sequence[PipelineStep]]
    config: StageConfig
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> list[PipelineStep]:
        """New steps, for one task."""
        return list(self.steps(self.config, **self.arguments))

    def to_json(self) -> str:
        """Everything that `from_json` needs, the working directory included, from which relative paths count."""
        config_class = type(self.config)
        text = json.dumps(
            {
                "name": self.name,
                "tasks": self.tasks,
                "steps": f"{self.steps.__module__}:{self.steps.__qualname__}",
                "config_class": f"{config_class.__module__}:{config_class.__qualname__}",
                "config": resolved(self.config),
                "arguments": dict(self.arguments),
                "directory": os.getcwd(),
            },
            indent=1,
            ensure_ascii=False,
        )
        assert self.from_json(text) == self, f"pass {self.name}: its description does not give it back"
        return text

    @classmethod
    def from_json(cls, text: str) -> "Pass":
        """The pass that `to_json` described."""
        from conan_data.command import Command, bind

        found = json.loads(text)
        command = Command(name=found["name"], config=found["config_class"], run="", help="")
        return cls(
            name=found["name"],
            tasks=found["tasks"],
            steps=_load(found["steps"]),
            config=bind(command, _without_none(found["config"]), source=found["name"]),
            arguments=found["arguments"],
        )


def working_directory(text: str) -> Path:
    """Where the process that described a pass was."""
    return Path(json.loads(text)["directory"])


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` without the fields that are None, which is then their default."""
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }
