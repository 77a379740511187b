"""The log of a training run: JSON lines that a report draws, and that a resumed run continues as if it had
never stopped.

Two runs of one job must leave the same bytes, and no two take the same time. So what depends on the clock
(`CLOCK_FIELDS`) goes to a file of its own beside the log, `times.jsonl`, which manifests do not list. `read_events`
puts both together again.

A checkpoint holds how long the log was and what it hashed to (`TrainLog.mark`). A run that goes on cuts the log back
to that, for it takes the later steps again, and refuses one whose beginning has changed.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

from conan_data.errors import UserError
from conan_data.manifest import TIMES

NAME = "train_log.jsonl"
CLOCK_FIELDS = frozenset({"mfu", "queries_per_second", "seconds", "share", "stall", "tokens_per_second"})
"""Fields of an event that differ between two runs of one job."""
_KEY = ("event", "step", "task")
"""Fields that tell which event the times belong to."""


class TrainLog:
    """Appends events to the log at `path` and to the times beside it, each line written whole."""

    def __init__(self, path: Path) -> None:
        self.path, self.times = path, path.with_name(TIMES)

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event. Numbers are rounded to six significant digits; what is not finite becomes null."""
        event = {key: _rounded(value) for key, value in event.items()}
        timed = {key: value for key, value in event.items() if key in CLOCK_FIELDS}
        _append(self.path, {key: value for key, value in event.items() if key not in CLOCK_FIELDS})
        if timed:
            _append(self.times, {key: event[key] for key in _KEY if key in event} | timed)

    def mark(self) -> dict[str, Any]:
        """Return the length and the hash of the log for a checkpoint; flushes both files to the disk first."""
        for path in (self.path, self.times):
            if path.exists():
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
        content = _content(self.path)
        return {"bytes": len(content), "hash": xxhash.xxh3_128_hexdigest(content), "times": _size(self.times)}

    def cut(self, mark: Mapping[str, Any] | None) -> None:
        """Drop what was logged after the checkpoint that holds `mark`; everything where there is none.

        Raises `UserError` where the log does not begin as it did when that checkpoint was saved.
        """
        if mark is None:
            for path in (self.path, self.times):
                path.unlink(missing_ok=True)
            return
        if xxhash.xxh3_128_hexdigest(_content(self.path)[: mark["bytes"]]) != mark["hash"]:
            raise UserError(
                f"{self.path}: was cut or edited since the last checkpoint was saved; put it back, or start over with --overwrite"
            )
        for path, size in ((self.path, mark["bytes"]), (self.times, mark["times"])):
            if _size(path) > size:
                os.truncate(path, size)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the events of a log, none where it is missing. Raises `UserError` naming the line that is no event."""
    events = []
    for number, line in enumerate(_content(path).splitlines(), start=1):
        try:
            event = json.loads(line)
        except ValueError as error:
            raise UserError(
                f"{path}: line {number} is not JSON ({error}); train again with --overwrite"
            ) from error
        if not isinstance(event, dict) or not isinstance(event.get("step"), int):
            raise UserError(
                f"{path}: line {number} is not an event with a step; train again with --overwrite"
            )
        events.append(event)
    return events


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the events of the log at `path` with the times beside it, where there are any."""
    times: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in _content(path.with_name(TIMES)).splitlines():
        try:
            timed = json.loads(line)
            times[tuple(timed.get(key) for key in _KEY)] = timed
        except (
            ValueError,
            AttributeError,
            TypeError,
        ):  # nobody vouches for this file, and nothing depends on it
            continue
    return [{**event, **times.get(tuple(event.get(key) for key in _KEY), {})} for event in read_log(path)]


def _append(path: Path, event: Mapping[str, Any]) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(event, ensure_ascii=False) + "\n")


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
