"""The one exception that means "the input is wrong": the command line prints its message as one line and
exits with 2.
"""


class UserError(Exception):
    """What the user gave cannot be used. The message is one line: the file, field or row, the value, and what
    to do.
    """


class OccupiedError(UserError):
    """The output folder holds the result, or the unfinished run, of another job; the flag `remedy` would replace it, or
    go on from it.
    """

    def __init__(self, message: str, *, remedy: str = "--overwrite") -> None:
        super().__init__(message)
        self.remedy = remedy


class SaidElsewhereError(UserError):
    """Another process of this run says what is wrong; this one ends in silence, with the same exit code."""

    def __init__(
        self, message: str = "another process of this run says what is wrong", *, code: int = 2
    ) -> None:
        super().__init__(message)
        self.code = code


class UnfinishedError(UserError):
    """A run ended for a reason that the user can mend, and goes on from there when it is started again."""
