"""An error of a task on its way to the process that waits for it.

Exceptions do not travel well: some cannot be sent, some cannot be built again where they arrive, and all lose
their traceback. So plain values travel, and become an exception again that ends the run in the same way (a
wrong input, a full disk, a fault of ours).
"""

import dataclasses
import json
import os
import traceback

from conan_data.errors import UnfinishedError, UserError
from conan_data.shortage import shortage


class TaskError(RuntimeError):
    """A task failed by our fault; the message holds its traceback."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """What an exception says; `errno` and `filename` are those of an `OSError`, `lack` is what the machine lacked."""

    type: str
    message: str
    traceback: str
    user: bool = False
    unfinished: bool = False
    errno: int | None = None
    filename: str | None = None
    lack: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        found = error if isinstance(error, OSError) else OSError()
        return cls(
            type=type(error).__name__,
            message=str(error),
            traceback="".join(traceback.format_exception(error)),
            user=isinstance(error, UserError),
            unfinished=isinstance(error, UnfinishedError),
            errno=found.errno,
            filename=None if found.filename is None else str(found.filename),
            lack=shortage(error),
        )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Failure":
        return cls(**json.loads(text))

    def error(self, where: str) -> Exception:
        """The exception to raise; `where` names the task."""
        if self.unfinished:
            return UnfinishedError(self.message)
        if self.user:
            return UserError(self.message)
        if self.errno is not None:
            error: Exception = OSError(self.errno, os.strerror(self.errno), self.filename)
            error.add_note(f"{where}:\n{self.traceback}")
            return error
        if self.lack:
            return UnfinishedError(f"{where}: {self.lack}")
        return TaskError(f"{where}: {self.type}: {self.message}\n{self.traceback}")
