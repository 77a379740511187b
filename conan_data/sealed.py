"""JSON and files that a later run trusts, each with a checksum: what was cut, edited or lost half of itself when the
power failed is noticed, and is never built on.

A sealed file is one JSON object whose field `checksum` is the SHA-256 of the others. A mark is a sealed file beside
other files that holds their sizes and hashes (XXH3, far faster than any disk): as long as it fits, they are whole.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import xxhash

from conan_data.errors import UserError
from conan_data.files import write_durably

CHECKSUM = "checksum"
_FILES = "files"
_BLOCK = 1 << 20


class DamagedError(UserError):
    """A sealed file is missing, was cut or was edited."""


def canonical_json(value: object) -> bytes:
    """Return the one way in which manifests and other sealed files are written."""
    return (json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def seal(values: Mapping[str, Any]) -> bytes:
    """Return the content of a sealed file that holds `values` (JSON)."""
    plain = json.loads(json.dumps(values))
    return canonical_json({**plain, CHECKSUM: hashlib.sha256(canonical_json(plain)).hexdigest()})


def unseal(content: bytes, path: Path) -> dict[str, Any]:
    """Return the values of a sealed file; `path` names it in errors. Raises `DamagedError` where it is none, or not as
    it was written.
    """
    try:
        values = json.loads(content)
        del values[CHECKSUM]
        is_whole = content == seal(values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{path}: cut or edited, or not a file of ours ({_reason(error)})") from error
    if not is_whole:
        raise DamagedError(f"{path}: edited, for its checksum does not fit")
    return values


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` (JSON) to `path` with their checksum, durably."""
    write_durably(path, seal(values))


def read_sealed(path: Path) -> dict[str, Any]:
    """Return the values of the sealed file at `path`. Raises `DamagedError` where it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedError(f"{path}: cannot be read ({error.strerror})") from error
    return unseal(content, path)


def write_mark(path: Path, files: Iterable[Path], values: Mapping[str, Any] | None = None) -> None:
    """Write a mark at `path` that says of `files` that they are whole, and holds `values`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = {os.path.relpath(file, path.parent): _facts(file) for file in files}
    write_sealed(path, {**(values or {}), _FILES: listed})


def read_mark(path: Path) -> dict[str, Any] | None:
    """Return the values of a mark; None where there is none, or it or one of its files is not as it was written."""
    try:
        values = read_sealed(path)
        listed = values.pop(_FILES)
        is_whole = all(_facts(path.parent / name) == facts for name, facts in listed.items())
    except (DamagedError, OSError):
        return None
    return values if is_whole else None


def _facts(path: Path) -> list[Any]:
    """Size and hash."""
    digest = xxhash.xxh3_128()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
        return [file.tell(), digest.hexdigest()]


def _reason(error: Exception) -> str:
    return "not JSON" if isinstance(error, ValueError | RecursionError) else "it has no checksum"
