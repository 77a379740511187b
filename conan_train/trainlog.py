"""The log of a training run: JSON lines that a report draws, and that a resumed run continues as if it had
never stopped.

A run that was killed has logged steps after its last checkpoint; those are cut off when it resumes, for it
will take them again.
"""

import json
import math
from pathlib import Path
from typing import Any

from conan_data.files import written_aside

NAME = "train_log.jsonl"


class TrainLog:
    """Appends events to a file, each written whole and flushed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: dict[str, Any]) -> None:
        """One line. Numbers are rounded to six significant digits; what is not finite becomes null."""
        line = json.dumps({key: _rounded(value) for key, value in event.items()}, ensure_ascii=False)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def cut(self, step: int) -> None:
        """Drops what happened after `step` steps: later steps, and refreshes that come before a step that is
        taken again.
        """
        kept = [
            event
            for event in read_log(self.path)
            if event["step"] < step or (event["step"] == step and event.get("event") != "refresh")
        ]
        with written_aside(self.path) as aside:
            aside.write_text(
                "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in kept), encoding="utf-8"
            )


def read_log(path: Path) -> list[dict[str, Any]]:
    """The events of a log; a last line that was not written to its end is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
