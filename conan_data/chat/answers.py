"""Answers of an endpoint on disk, so that an interrupted run pays for none of them twice.

One JSON line an answer, appended whole and flushed before it is used. A kill can tear the last line: it is
cut off when the file is opened again, so that the next line does not grow onto it. What is stored depends on
nothing but what was asked (model, prompt, text, language), so that a changed question is a new one.
"""

import hashlib
import threading
from pathlib import Path

import orjson


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
        line = orjson.dumps({"key": key, "text": text, "failure": failure}) + b"\n"
        with self._lock:
            with open(self._path, "ab") as file:
                file.write(line)
            self._known[key] = (text, failure)

    def _load(self) -> None:
        whole = 0
        with open(self._path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    answer = orjson.loads(line)
                    self._known[answer["key"]] = (answer["text"], answer["failure"])
                except (orjson.JSONDecodeError, KeyError, TypeError):
                    continue
        with open(self._path, "r+b") as file:
            file.truncate(whole)
