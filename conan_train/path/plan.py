"""What the stages of a recipe would do, without doing it, and which stages read what others write."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from conan_data.command import Command
from conan_data.config import StageConfig
from conan_data.errors import OccupiedError, UserError
from conan_data.places import places_of
from conan_data.recipe import Stage


@dataclass(frozen=True)
class Bound:
    """A stage with its command and its config."""

    stage: Stage
    command: Command
    config: Any

    def reads_from(self, other: "Bound") -> bool:
        """Return whether an input of this stage is the output of `other`, or lies in it."""
        if not isinstance(other.config, StageConfig):
            return False
        out = Path(other.config.out).absolute()
        return any(Path(place.path).absolute().is_relative_to(out) for place in places_of(self.config))


def with_readers(name: str, stages: Sequence[Bound]) -> list[str]:
    """Return `name` and the stages that read its output, directly or through others, in the order of the recipe."""
    found: list[Bound] = []
    for bound in stages:
        if bound.stage.name == name or any(bound.reads_from(other) for other in found):
            found.append(bound)
    return [bound.stage.name for bound in found]


def plan_table(stages: Sequence[Bound]) -> str:
    """Return a table of what each stage would do, and why."""
    rows = [
        [bound.stage.name, state, why] for bound, (state, why) in zip(stages, _states(stages), strict=True)
    ]
    return tabulate(rows, headers=["stage", "would", "why"], disable_numparse=True)


def _states(stages: Sequence[Bound]) -> Iterator[tuple[str, str]]:
    unsettled: list[tuple[Bound, str]] = []
    for bound in stages:
        waits = {other.stage.name: state for other, state in unsettled if bound.reads_from(other)}
        if not waits:
            state, why = _state(bound)
        elif set(waits.values()) & {"refuse", "fail", "wait"}:
            state, why = "wait", f"for {', '.join(waits)}"
        else:
            state, why = "run", f"after {', '.join(waits)}; done already if what it reads turns out the same"
        if state != "do nothing":
            unsettled.append((bound, state))
        yield state, why


def _state(bound: Bound) -> tuple[str, str]:
    from conan_data.artifact import Planned, planning  # Heavy, and a misspelt recipe is answered before.

    if bound.command.is_done_without_inputs(bound.config):
        return "do nothing", f"done already in {bound.config.out}; its inputs are gone"
    if not isinstance(bound.config, StageConfig):
        return "run", "it makes no artifact of its own"
    meanings: Mapping[str, tuple[str, str]] = {
        "done": ("do nothing", f"done already in {bound.config.out}"),
        "extend": ("extend", f"trains on from {bound.config.out}"),
        "go on": ("go on", f"{bound.config.out} is unfinished"),
        "run": (
            "run",
            f"replaces {bound.config.out}" if bound.config.overwrite else f"makes {bound.config.out}",
        ),
    }
    try:
        with planning():
            bound.command(bound.config)
    except Planned as planned:
        return meanings[planned.state]
    except OccupiedError as error:
        return "refuse", str(error)
    except UserError as error:
        return "fail", str(error)
    raise AssertionError(f"{bound.command.name} made an artifact without asking")
