import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conan_data import artifact
from conan_data.config import StageConfig, execution
from conan_data.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Config(StageConfig):
    size: int = 3
    workers: int = execution(1)


def make(config: Config, source: Path, *, resume: bool = False) -> Path:
    with artifact.building(
        config, kind="numbers", command="make-numbers", inputs=[source], resume=resume
    ) as build:
        if build.done:
            return build.out
        pq.write_table(pa.table({"n": list(range(config.size))}), build.dir / "numbers.parquet")
        (build.work / "scratch").write_text("gone")
        return build.publish(
            rows=artifact.Rows(read=config.size + 1, kept=config.size, dropped=Counter({"too-odd": 1})),
            extra={"a": 1},
        )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.txt"
    path.write_text("one")
    return path


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_a_published_artifact_opens_and_says_what_made_it(tmp_path: Path, source: Path) -> None:
    opened = artifact.open_artifact(make(Config(out=tmp_path / "out"), source), kind="numbers")
    assert opened.rows == artifact.Rows(read=4, kept=3, dropped={"too-odd": 1})
    assert opened.manifest["config"] == {"size": 3} and opened.manifest["command"] == "make-numbers"
    assert [(entry["path"], entry["rows"]) for entry in opened.manifest["files"]] == [("numbers.parquet", 3)]
    assert opened.manifest["inputs"][0]["sha256"] == artifact.hash_file(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source.txt"]


def test_rows_that_do_not_add_up_are_not_published() -> None:
    with pytest.raises(AssertionError, match="1 rows are unaccounted for"):
        artifact.Rows(read=4, kept=2, dropped={"x": 1})


def test_the_same_job_is_done_and_gives_the_same_bytes(
    tmp_path: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = tree(make(Config(out=tmp_path / "a"), source))
    assert tree(make(Config(out=tmp_path / "b", workers=7), source)) == first
    caplog.set_level("INFO")
    written = (tmp_path / "a" / "manifest.json").stat().st_mtime_ns
    make(Config(out=tmp_path / "a", workers=2), source)
    assert "done already" in caplog.text and (tmp_path / "a" / "manifest.json").stat().st_mtime_ns == written


def test_another_config_or_input_refuses_to_mix_until_overwrite(tmp_path: Path, source: Path) -> None:
    out = make(Config(out=tmp_path / "out"), source)
    with pytest.raises(UserError, match="size 3 -> 5.*--overwrite"):
        make(Config(out=out, size=5), source)
    make(Config(out=out, size=5, overwrite=True), source)
    assert artifact.open_artifact(out).rows.kept == 5
    source.write_text("two")
    with pytest.raises(UserError, match="source.txt has changed"):
        make(Config(out=out, size=5), source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source.txt"]


def test_a_folder_that_is_no_artifact_is_never_touched(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "photos"
    out.mkdir()
    (out / "cat.jpg").write_text("cat")
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"not one of our artifacts"):
            make(Config(out=out, overwrite=overwrite), source)
    assert tree(out) == {"cat.jpg": b"cat"} and not (tmp_path / "photos.partial").exists()


def test_an_exception_leaves_nothing_behind(tmp_path: Path, source: Path) -> None:
    with (
        pytest.raises(UserError, match="bad row"),
        artifact.building(Config(out=tmp_path / "out"), kind="k", command="c", inputs=[source]) as build,
    ):
        (build.dir / "half").write_text("x")
        raise UserError("bad row")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.txt"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda out: (out / "manifest.json").unlink(), "has no manifest.json"),
        (lambda out: (out / "numbers.parquet").unlink(), "numbers.parquet is missing"),
        (lambda out: (out / "stray.tmp").write_text("x"), "stray.tmp is not in the manifest"),
        (
            lambda out: (out / "numbers.parquet").write_bytes(
                b"x" * (out / "numbers.parquet").stat().st_size
            ),
            "numbers.parquet has changed",
        ),
        (lambda out: (out / "manifest.json").write_text("{"), "manifest.json: cut or edited"),
    ],
)
def test_a_damaged_artifact_is_refused(tmp_path: Path, source: Path, damage: object, message: str) -> None:
    out = make(Config(out=tmp_path / "out"), source)
    damage(out)  # type: ignore[operator]
    with pytest.raises(UserError, match=message):
        artifact.open_artifact(out)


def test_what_differs_between_two_runs_is_not_listed(tmp_path: Path, source: Path) -> None:
    """Also in an artifact inside another one."""
    made = []
    for name in ("one", "two"):
        with artifact.building(
            Config(out=tmp_path / name), kind="numbers", command="c", inputs=[source]
        ) as build:
            for path in (
                "times.jsonl",
                "times.html",
                "trackers/conan/events.1",
                "inner/times.jsonl",
                "log.jsonl",
            ):
                (build.dir / path).parent.mkdir(parents=True, exist_ok=True)
                (build.dir / path).write_text("log" if path == "log.jsonl" else name)
            build.publish(rows=artifact.Rows(read=1, kept=1))
        opened = artifact.open_artifact(tmp_path / name)
        assert [entry["path"] for entry in opened.manifest["files"]] == ["log.jsonl"]
        made.append(opened.manifest_hash)
    assert made[0] == made[1]
    (tmp_path / "one" / "times.jsonl").unlink()
    artifact.open_artifact(tmp_path / "one")
    listed = artifact.describe_input(tmp_path / "one" / "trackers")["files"]
    assert [entry["path"] for entry in listed] == ["conan/events.1"], "a folder of the user's is listed whole"


def test_wrong_kind_and_missing_directory(tmp_path: Path, source: Path) -> None:
    out = make(Config(out=tmp_path / "out"), source)
    with pytest.raises(UserError, match="holds a numbers, not a corpus"):
        artifact.open_artifact(out, kind="corpus")
    (tmp_path / "other.partial").mkdir()
    with pytest.raises(UserError, match=r"no such directory; other.partial is unfinished"):
        artifact.open_artifact(tmp_path / "other")
    with pytest.raises(UserError, match="missing.txt: no such file"):
        make(Config(out=tmp_path / "new"), tmp_path / "missing.txt")


def test_two_processes_cannot_build_the_same_output(tmp_path: Path, source: Path) -> None:
    with artifact.building(Config(out=tmp_path / "out"), kind="k", command="c", inputs=[source]) as build:
        with pytest.raises(UserError, match="another process"):
            make(Config(out=tmp_path / "out"), source)
        build.publish(rows=artifact.Rows(read=0, kept=0))
    assert artifact.is_artifact(tmp_path / "out")


def test_a_resumed_build_keeps_what_was_there_and_refuses_another_job(tmp_path: Path, source: Path) -> None:
    config = Config(out=tmp_path / "out")
    with (
        pytest.raises(KeyboardInterrupt),
        artifact.building(
            config, kind="numbers", command="make-numbers", inputs=[source], resume=True
        ) as build,
    ):
        (build.dir / "part-0").write_text("kept")
        raise KeyboardInterrupt
    with pytest.raises(UserError, match="unfinished run of another job \\(size 3 -> 4\\)"):
        make(Config(out=tmp_path / "out", size=4), source, resume=True)
    with artifact.building(
        config, kind="numbers", command="make-numbers", inputs=[source], resume=True
    ) as build:
        assert (build.dir / "part-0").read_text() == "kept"
        build.publish(rows=artifact.Rows(read=0, kept=0))
    assert set(tree(tmp_path / "out")) == {"manifest.json", "part-0"}


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_artifact import Config, make
name, nth = sys.argv[4].split(":")
count = 0
import conan_data.artifact as artifact
owner = next(place for place in (os, artifact.shutil, artifact) if hasattr(place, name))
original = getattr(owner, name)
def deadly(*args, **kwargs):
    global count
    count += 1
    if count == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
setattr(owner, name, deadly)
make(Config(out=Path(sys.argv[2]), size=int(sys.argv[5]), overwrite=len(sys.argv) > 6), Path(sys.argv[3]))
"""


@pytest.mark.parametrize(
    "point",
    [
        "_enter:1",
        "write_sealed:1",
        "replace:1",
        "list_files:1",
        "write_sealed:2",
        "fsync:2",
        "replace:2",
        "rename:1",
        "sync_directory:1",
    ],
)
def test_kill_at_any_moment_leaves_the_output_absent_or_whole(
    tmp_path: Path, source: Path, point: str
) -> None:
    expected = tree(make(Config(out=tmp_path / "whole"), source))
    out = tmp_path / "out"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(out), str(source), point, "3"],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists() or tree(out) == expected
    assert tree(make(Config(out=out), source)) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source.txt", "whole"]


@pytest.mark.parametrize("point", ["rename:1", "rename:2", "rmtree:2"])
def test_kill_while_replacing_keeps_the_old_one_or_the_new_one(
    tmp_path: Path, source: Path, point: str
) -> None:
    out = tmp_path / "out"
    old, new = tree(make(Config(out=out), source)), tree(make(Config(out=tmp_path / "new", size=9), source))
    command = [
        sys.executable,
        "-c",
        KILLED,
        str(Path(__file__).parent),
        str(out),
        str(source),
        point,
        "9",
        "overwrite",
    ]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    artifact._recover(out)
    assert tree(out) in (old, new)
    make(Config(out=out, size=9, overwrite=True), source)
    assert tree(out) == new and sorted(path.name for path in tmp_path.iterdir()) == [
        "new",
        "out",
        "source.txt",
    ]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, source: Path) -> None:
    code = "import sys, time; sys.path.insert(0, sys.argv[1])\nfrom pathlib import Path\nfrom test_artifact import *\nwith artifact.building("
    code += "Config(out=Path(sys.argv[2])), kind='k', command='c', inputs=[]): print('in', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"in\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    start = time.monotonic()
    make(Config(out=tmp_path / "out", overwrite=True), source)
    assert (
        time.monotonic() - start < 5
        and json.loads((tmp_path / "out" / "manifest.json").read_text())["kind"] == "numbers"
    )
