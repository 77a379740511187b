"""Answers on disk: shared by threads and processes, killed, cut, edited, locked, without room, and of other programs."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conan_data.chat import answers as module
from conan_data.chat.answers import Answers, Known, LockedError, key_of
from conan_data.errors import UserError

ROOT = Path(__file__).parents[3]
WRITER = """
import sys
from pathlib import Path
from conan_data.chat.answers import Answers, Known
answers = Answers(Path(sys.argv[1]), create=True)
for number in range(int(sys.argv[3])):
    answers.put([(f"{sys.argv[2]}{number}", Known("x" * number, "", number, 1))])
    print(number, flush=True)
"""


def num_answers(path: Path) -> int:
    """How many answers a file holds, also while others write it; 0 where there is none."""
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        try:
            return file.execute("SELECT count(*) FROM answers").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def writer(path: Path, prefix: str, count: int) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(path), prefix, str(count)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_key_depends_on_every_part_and_on_where_it_stands() -> None:
    asked = [
        ("m", "p", "t", "l"),
        ("m2", "p", "t", "l"),
        ("m", "p", "tl", ""),
        ("m", "p", "", "tl"),
        ("mp", "", "t", "l"),
    ]
    assert len({key_of(*each) for each in asked}) == 5


def test_answers_are_there_again_and_the_file_only_after_the_first(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    store = Answers(path)
    assert store.get("k") is None and not path.exists()
    known = {"k": Known("Straße\n", "", 5, 2), "l": Known("", "answer-empty"), "m": Known("ß\0x")}
    store.put(known.items())
    assert {key: Answers(path).get(key) for key in known} == known
    store.put([("k", Known("Gasse"))])
    assert Answers(path).get("k") == Known("Gasse")
    store.remove()
    assert not list(tmp_path.iterdir())


def test_many_threads(tmp_path: Path) -> None:
    store = Answers(tmp_path / "answers.sqlite")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: store.put([(str(number), Known("x" * number))]), range(100)))
    again = Answers(tmp_path / "answers.sqlite")
    assert all(again.get(str(number)) == Known("x" * number) for number in range(100))


def test_two_processes_write_at_once_and_one_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "answers.sqlite"
    killed, other = writer(path, "a", 100_000), writer(path, "b", 200)
    assert killed.stdout is not None and other.stdout is not None
    for line in killed.stdout:
        if int(line) >= 100:
            break
    os.kill(killed.pid, signal.SIGKILL)
    written = [int(line) for line in killed.stdout if line.strip().isdigit()]
    killed.wait()
    assert other.wait(60) == 0
    last = max([100, *written[:-1]])
    store = Answers(path)
    for prefix, count in (("a", last + 1), ("b", 200)):
        for number in range(count):
            assert store.get(f"{prefix}{number}") == Known("x" * number, "", number, 1), (prefix, number)


def test_no_text_is_believed_that_was_not_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every edit gives the answer, no answer, or one line with the file's name."""
    path = tmp_path / "answers.sqlite"
    known = {f"key {number}": Known(f"text {number} " * 40, "", number, number) for number in range(60)}
    store = Answers(path)
    store.put(known.items())
    store.close()
    whole, rng = path.read_bytes(), random.Random(0)
    outcomes: dict[str, int] = {"right": 0, "asked again": 0, "refused": 0}
    places = [*range(0, 100, 3), *(rng.randrange(len(whole)) for _ in range(150))]
    edits = [
        whole[:place] + bytes([whole[place] ^ rng.randrange(1, 256)]) + whole[place + 1 :] for place in places
    ]
    for edited in [*edits, *(whole[: rng.randrange(1, len(whole))] for _ in range(30))]:
        path.write_bytes(edited)
        for key, expected in known.items():
            try:
                store = Answers(path)
                found = store.get(key)
            except UserError as error:
                assert str(path) in str(error) and "\n" not in str(error)
                outcomes["refused"] += 1
                break
            finally:
                store.close()
            assert found in (expected, None)
            outcomes["right" if found else "asked again"] += 1
    assert min(outcomes.values()) > 5, outcomes
    assert "was cut or edited" in caplog.text


@pytest.mark.parametrize("content", [b"plain text\n" * 200, b"{}", b"SQLite format 3\0" + b"x" * 200])
def test_a_file_that_is_none_is_refused_by_name_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"answers\.sqlite: is damaged or no store of answers .*move it away"):
        Answers(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_or_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    with pytest.raises(UserError, match="is no store of answers; move it away"):
        Answers(path, create=True)
    assert path.read_bytes() == before
    path.unlink()
    Answers(path, create=True).close()
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 9")
    with pytest.raises(UserError, match="of version 9"):
        Answers(path)


def test_a_locked_file_is_named_and_written_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT", 0.2)
    path = tmp_path / "answers.sqlite"
    store = Answers(path, create=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        with pytest.raises(LockedError, match=r"answers\.sqlite: another process holds it locked"):
            store.put([("k", Known("text"))])
        assert time.monotonic() - start < 5
        other.execute("ROLLBACK")
    store.put([("k", Known("text"))])
    assert store.get("k") == Known("text")


def test_without_room_nothing_is_lost_that_was_written(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    code = """
import resource, sys
from pathlib import Path
from conan_data.chat.answers import Answers, Known
from conan_data.errors import UnfinishedError
store = Answers(Path(sys.argv[1]), create=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for number in range(1000):
    try:
        store.put([(str(number), Known("x" * 1000))])
    except UnfinishedError as error:
        assert "answers.sqlite" in str(error) and "room" in str(error), error
        print(number)
        break
"""
    path = tmp_path / "answers.sqlite"
    done = subprocess.run([sys.executable, "-c", code, str(path)], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)  # fmt: skip
    num_written = int(done.stdout)
    assert num_written > 10
    again = Answers(path)
    assert all(again.get(str(number)) == Known("x" * 1000) for number in range(num_written))


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"file/answers\.sqlite: cannot be made"):
        Answers(tmp_path / "file" / "answers.sqlite", create=True)
    (tmp_path / "answers.sqlite").mkdir()
    with pytest.raises(UserError, match=r"answers\.sqlite: cannot be read or written"):
        Answers(tmp_path / "answers.sqlite")
