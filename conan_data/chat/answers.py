"""Answers of an endpoint on disk, so that an interrupted run pays for none of them twice.

One JSON line an answer with its checksum, appended whole and flushed before it is used. A kill can tear the last
line: it is cut off when the file is opened again, so that the next line does not grow onto it. A line that was cut or
edited is no answer: its question is asked again. What is stored depends on nothing but what was asked (model, prompt,
text, language), so that a changed question is a new one.
"""

import hashlib
import logging
import threading
from pathlib import Path

import orjson

log = logging.getLogger(__name__)


def key_of(*asked: str) -> str:
    """A hash of everything that decides an answer."""
    return hashlib.sha256(orjson.dumps(asked)).hexdigest()[:32]


class Answers:
    """Questions and their answers, kept beyond the process; the file is made with the first answer. Safe to
    use from several threads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, str]] = {}
        if path.exists():
            self._load()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> tuple[str, str] | None:
        """The answer as (text, failure), one of them empty; None where the question was not answered yet."""
        return self._known.get(key)

    def put(self, key: str, text: str, failure: str = "") -> None:
        """Stores an answer."""
        answer = {"key": key, "text": text, "failure": failure}
        line = orjson.dumps({**answer, "checksum": key_of(key, text, failure)}) + b"\n"
        with self._lock:
            with open(self._path, "ab") as file:
                file.write(line)
            self._known[key] = (text, failure)

    def _load(self) -> None:
        whole = num_damaged = 0
        with open(self._path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                if (answer := _read(line)) is None:
                    num_damaged += 1
                else:
                    self._known[answer[0]] = answer[1:]
        with open(self._path, "r+b") as file:
            file.truncate(whole)
        if num_damaged:
            log.warning(
                "%s: %d lines were cut or edited; their questions are asked again", self._path, num_damaged
            )


def _read(line: bytes) -> tuple[str, str, str] | None:
    """Key, text and failure of a line; None where it is not as it was written."""
    try:
        values = orjson.loads(line)
        key, text, failure, found = (values[name] for name in ("key", "text", "failure", "checksum"))
        is_whole = found == key_of(key, text, failure)
    except (ValueError, KeyError, TypeError):
        return None
    are_texts = all(isinstance(value, str) for value in (key, text, failure))
    return (key, text, failure) if is_whole and are_texts else None
