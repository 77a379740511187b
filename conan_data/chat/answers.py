"""Answers of models on disk, so that no run pays for one twice: neither one that was interrupted, nor another one that
shares the file.

One SQLite file in WAL mode, which any number of processes may read and write at once and which a kill leaves whole. An
answer is found by a hash of everything that decides it (model, revision, prompt, text, settings), so that a changed
question is a new one. Each row has a checksum: of a file that was cut or edited no text is believed that was not
written so. A file that is no store of answers is refused by name and never changed.
"""

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson

from conan_data.errors import UnfinishedError, UserError

log = logging.getLogger(__name__)
FILE = "answers.sqlite"
_APPLICATION, _VERSION = 0x636E616E, 1
_WAIT = 20.0
"""Seconds that another process may hold the file locked before this one says so."""
_TABLE = """CREATE TABLE answers (key TEXT PRIMARY KEY, text TEXT NOT NULL, failure TEXT NOT NULL,
tokens_in INTEGER, tokens_out INTEGER, checksum TEXT NOT NULL) WITHOUT ROWID"""
_READ = "SELECT text, failure, tokens_in, tokens_out, checksum FROM answers WHERE key = ?"
_WRITE = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)"
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_ERROR}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CHANGES = ("-wal", "-shm", "-journal")
"""Endings of the files that SQLite keeps beside its own."""


class Known(NamedTuple):
    """An answer: its text or why it is none (`failure`), and its tokens where the server counted them."""

    text: str
    failure: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None


class LockedError(UnfinishedError):
    """Another process has held the file locked for too long."""


def key_of(*asked: str) -> str:
    """A hash of everything that decides an answer."""
    return hashlib.sha256(orjson.dumps(asked)).hexdigest()[:32]


class Answers:
    """Questions and their answers, kept beyond the process, for any number of threads and processes."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """`path` is made with the first answer, or at once with `create`. Raises `UserError` for a file that is no
        store of answers or cannot be read.
        """
        self._path = path
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None
        self._num_damaged = 0
        if create or path.exists():
            self._open()

    def get(self, key: str) -> Known | None:
        """The answer; None where the question was not answered yet."""
        if self._file is None:
            return None
        with self._lock, self._naming():
            row = self._file.execute(_READ, (key,)).fetchone()
        if row is None:
            return None
        known = Known(*row[:4])
        if row[4] != _checksum(key, known):
            self._num_damaged += 1
            if self._num_damaged == 1:
                log.warning("%s: an answer was cut or edited; what it answered is asked again", self._path)
            return None
        return known

    def put(self, answers: Iterable[tuple[str, Known]]) -> None:
        """Store answers, given with their keys, all of them or none. Raises `LockedError`, `UnfinishedError` for a full
        disk, `UserError` for a damaged file.
        """
        rows = [(key, *known, _checksum(key, known)) for key, known in answers]
        if self._file is None:
            self._open()
        with self._lock, self._naming():
            assert self._file is not None
            with _transaction(self._file):
                self._file.executemany(_WRITE, rows)

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._file.close()
                self._file = None

    def remove(self) -> None:
        """Close the file, and delete it."""
        self.close()
        for ending in ("", *_CHANGES):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def _open(self) -> None:
        with self._lock, self._naming():
            if self._file is not None:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = sqlite3.connect(self._path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(file)
            except BaseException:
                file.close()
                raise
            self._file = file

    def _prepare(self, file: sqlite3.Connection) -> None:
        """Make an empty file a store; raise `UserError` for what is another one's."""
        file.execute("BEGIN")
        found = self._kind_of(file)
        file.execute("COMMIT")
        if found == (0, 0, 0):
            _set_mode(file)
            with _transaction(file):
                if self._kind_of(file) == (0, 0, 0):
                    file.execute(_TABLE)
                    file.execute(f"PRAGMA application_id = {_APPLICATION}")
                    file.execute(f"PRAGMA user_version = {_VERSION}")
            found = self._kind_of(file)
        if found[:2] != (_APPLICATION, _VERSION):
            newer = found[0] == _APPLICATION
            what = (
                f"a store of answers of version {found[1]}, this is {_VERSION}"
                if newer
                else "no store of answers"
            )
            raise UserError(f"{self._path}: is {what}; move it away, or name another place")
        # A kill loses nothing in this mode, a power cut perhaps the last answers.
        file.execute("PRAGMA synchronous = NORMAL")

    @staticmethod
    def _kind_of(file: sqlite3.Connection) -> tuple[int, int, int]:
        """Whose file it is, its version, and how many tables it has."""
        (application,), (version,) = (
            file.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
        )
        (num_tables,) = file.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return application, version, num_tables

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Turn what SQLite raises into one line that names the file."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in _LOCKED:
                raise LockedError(
                    f"{self._path}: another process holds it locked for more than {_WAIT:g} s; end that, or name "
                    "another place"
                ) from error
            if code == sqlite3.SQLITE_FULL:
                raise UnfinishedError(
                    f"{self._path}: No space left on device; make room, and run the same command again"
                ) from error
            if code in _DAMAGED:
                raise UserError(
                    f"{self._path}: is damaged or no store of answers ({error}); move it away, and what it held is asked again"
                ) from error
            raise UnfinishedError(
                f"{self._path}: cannot be read or written ({error}); make room or name another place, and run the same "
                "command again"
            ) from error
        except OSError as error:
            raise UserError(
                f"{self._path}: cannot be made ({os.strerror(error.errno or 0)}); name another place"
            ) from error


def _set_mode(file: sqlite3.Connection) -> None:
    """Set the WAL mode, for which SQLite does not wait by itself while another process makes the file."""
    until = time.monotonic() + _WAIT
    while True:
        try:
            file.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


@contextmanager
def _transaction(file: sqlite3.Connection) -> Iterator[None]:
    file.execute("BEGIN IMMEDIATE")
    try:
        yield
        file.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            file.execute("ROLLBACK")
        raise


def _checksum(key: str, known: Known) -> str:
    return key_of(key, *map(repr, known))
