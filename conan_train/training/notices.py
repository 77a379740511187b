"""What a run warns of: said once when it begins, once when it is no longer normal, and once when it is over.

A warning at every line of a log is one that nobody reads, above all where most runs recover by themselves. So each
says how long it is normal. It is over when it has been absent for a few lines, for figures near a threshold come
and go.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

PATIENCE = 3
"""Lines of the log without a warning before it is over."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What looks wrong in a line of the log."""

    name: str
    """The same for what is the same thing with other numbers."""
    words: str
    """What is seen, with its numbers."""
    advice: str
    """What to do if it stays."""
    normal_until: int = 0
    """Step up to which it is no cause for concern."""
    over: str
    """What is said when it is over."""

    def __str__(self) -> str:
        normal = f"normal up to step {self.normal_until:,}; " if self.normal_until else ""
        return f"{self.words}; {normal}if it stays, {self.advice}"


@dataclass
class Standing:
    """A notice that was said and is not over."""

    over: str
    absent: int = 0
    """Lines in a row without it."""
    is_late: bool = False
    """Whether it was said that it is no longer normal."""


class Notices:
    """The notices of a run that stand."""

    def __init__(self) -> None:
        self.standing: dict[str, Standing] = {}

    def update(self, step: int, notices: Sequence[Notice], *, is_last: bool = False) -> list[str]:
        """Return what is to be said after a line of the log of `step`, in which `notices` were found."""
        said = []
        now = {notice.name: notice for notice in notices}
        for name, notice in now.items():
            known = self.standing.get(name)
            is_late = step > notice.normal_until
            if known is None:
                said.append(f"{notice} (said once; a line follows when it is over)")
            elif is_late and not known.is_late:
                said.append(
                    f"still there after step {notice.normal_until:,}: {notice.words}; {notice.advice}"
                )
            elif is_last:
                said.append(f"still there at the end: {notice.words}; {notice.advice}")
            self.standing[name] = Standing(notice.over, is_late=is_late)
        for name in [name for name in self.standing if name not in now]:
            known = self.standing[name]
            known.absent += 1
            if known.absent == PATIENCE or is_last:
                said.append(known.over)
                del self.standing[name]
        return said

    def state(self) -> dict[str, dict[str, object]]:
        """Return what a checkpoint keeps, as JSON."""
        return {name: asdict(standing) for name, standing in self.standing.items()}

    def restore(self, state: dict[str, dict[str, object]]) -> None:
        """Take up the state of a checkpoint."""
        self.standing = {name: Standing(**values) for name, values in state.items()}  # type: ignore[arg-type]
