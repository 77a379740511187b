"""What the machine lacks (room, memory, a permission), whichever library says so and however.

Only Python's own calls raise an `OSError` with its number. numpy, pyarrow, torch, and all that is written in Rust
or C++ put the system's words into an exception of their own, so these are looked for in the text.
"""

import errno
import os
import re

_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MEMORY = (errno.ENOMEM,)
_FORBIDDEN = (
    errno.EACCES,
    errno.EBUSY,
    errno.EIO,
    errno.ELOOP,
    errno.EMFILE,
    errno.ENAMETOOLONG,
    errno.ENFILE,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
    errno.ESTALE,
    errno.EXDEV,
)
_NUMBER = re.compile(r"os error (\d+)|\[?[Ee]rrno:? (\d+)|Error code (\d+)|Os \{ code: (\d+)")
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
"""numpy's `tofile`, which does not say why."""
_NO_TEMPORARY = "No usable temporary directory found"
"""Python's `tempfile`, which calls a full disk a missing file."""
_MAKE_ROOM = "make room, and run the same command again"
_MORE_MEMORY = "run the same command again with more memory, or with less at once"
_NO_MEMORY = re.compile(
    r"can't allocate memory|CUDA out of memory|MPS backend out of memory|std::bad_alloc"
    r"|[Ff]ailed to allocate|failed to map segment|malloc of size \d+ failed|can't start new thread"
)


def shortage(error: BaseException) -> str | None:
    """Return in one line what the machine lacked, and what to do, where `error` or what it was raised from comes
    from that; None for any other error.
    """
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    found = (_of_one(each, is_first=each is error) for each in seen)
    return next((lack for lack in found if lack), None)


def _of_one(error: BaseException, *, is_first: bool) -> str | None:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return _memory(str(error))
    if _NO_TEMPORARY in str(error):
        return f"no temporary folder can be written to; {_MAKE_ROOM}, or set TMPDIR to another folder"
    if isinstance(error, OSError) and error.errno is not None:
        # A refused permission is often met and dealt with; only as the end of it all does it matter.
        if error.errno in (*_SPACE, *_MEMORY) or (is_first and error.errno in _FORBIDDEN):
            file = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
            return file + _of_number(error.errno)
        return None
    text = " ".join(str(error).split())
    numbers = {int(number) for match in _NUMBER.finditer(text) for number in match.groups() if number}
    for number in (*_SPACE, *_MEMORY):
        if number in numbers or os.strerror(number) in text:
            return _of_number(number)
    if _SHORT_WRITE.search(text):
        return f"the disk is full, or a limit on the size of files is reached; {_MAKE_ROOM}"
    return _memory(text) if _NO_MEMORY.search(text) else None


def _of_number(number: int) -> str:
    advice = _MAKE_ROOM if number in _SPACE else _MORE_MEMORY if number in _MEMORY else ""
    return f"{os.strerror(number)}; {advice}" if advice else os.strerror(number)


def _memory(text: str) -> str:
    first = next(iter(text.splitlines()), "")[:200]
    return f"memory ran out{f' ({first})' if first else ''}; {_MORE_MEMORY}"
