"""`conan-data build-corpus` as it is run, on everything wrong at once, and killed at any moment."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from conan_data.artifact import open_artifact
from tests.conan_data.corpus.execution.recipe import write_input
from tests.conan_data.corpus.execution.test_local import children
from tests.conan_data.corpus.faults import MAX_LINE_BYTES, command, run, write_faults
from tests.conan_data.corpus.test_build import contents

FLAGS = ("--max-line-bytes", str(MAX_LINE_BYTES))


@pytest.mark.slow
def test_every_row_of_a_broken_folder_is_kept_or_in_quarantine(tmp_path: Path) -> None:
    num_rows, truth = write_faults(tmp_path / "in")
    made = []
    for name, *flags in (("one",), ("tasks", "--tasks", "5"), ("two", "--workers", "2", "--tasks", "3")):
        done = run(tmp_path / name, "--input", str(tmp_path / "in"), *FLAGS, *flags)
        assert done.returncode == 0, done.stderr
        assert "3 files are no data and are not read" in done.stderr
        made.append(contents(tmp_path / name))
    assert made[0] == made[1] == made[2]
    rows = open_artifact(tmp_path / "one", kind="corpus").rows
    found: dict[str, list[tuple[int, str]]] = {}
    for line in (tmp_path / "one" / "quarantine.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found.setdefault(Path(row["file"]).name, []).append((row["place"], row["reason"]))
    assert found == truth
    assert rows.read == num_rows == rows.kept + sum(rows.dropped.values())
    assert {reason for reason in rows.dropped if not reason.startswith("broken-")} == set()
    reasons = Counter(f"broken-{reason}" for places in truth.values() for _, reason in places)
    assert reasons == rows.dropped
    ids = [row for path in (tmp_path / "one" / "data").rglob("*.parquet") for row in ids_of(path)]
    assert len(ids) == len(set(ids)) == rows.kept and {"good", "rows.jsonl:3"} <= set(ids)
    assert [name.partition("~")[0] for name in ids if name.startswith("twice")] == [
        "twice",
        "twice",
    ] and "twice" not in ids


def ids_of(path: Path) -> list[str]:
    return pq.read_table(path, columns=["id"]).column("id").to_pylist()


@pytest.mark.slow
def test_strict_stops_at_the_first_broken_row_of_each_file(tmp_path: Path) -> None:
    _, truth = write_faults(tmp_path / "in")
    for name, places in truth.items():
        source = tmp_path / "in" / name
        done = run(tmp_path / "out", "--input", str(source), *FLAGS, "--strict")
        place, reason = places[0]
        assert done.returncode == 2, done.stderr
        assert f"{source}, row {place}: {reason} (strict)" in done.stderr.splitlines()[-1]
        assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.slow
def test_what_another_run_changes_is_noticed(tmp_path: Path) -> None:
    """While a run is unfinished, and when it is done."""
    source = write_input(tmp_path / "in")
    flags = ("--input", str(source))
    kill_at(tmp_path / "out", flags, "parts-4", "--tasks", "4")
    other = run(tmp_path / "out", *flags, "--rules.min-words", "9")
    assert other.returncode == 2 and "rules.min_words 8 -> 9" in other.stderr
    text = (source / "0.jsonl").read_text()
    (source / "0.jsonl").write_text(text + "\n" + text.splitlines()[0].replace('"0-0"', '"new"') + "\n")
    changed = run(tmp_path / "out", *flags)
    assert changed.returncode == 2 and f"input {source}/0.jsonl has changed" in changed.stderr
    (source / "0.jsonl").write_text(text)
    tasks = run(tmp_path / "out", *flags, "--tasks", "2")
    assert (
        tasks.returncode == 0 and "going on with the tasks of the interrupted run (parts-4)" in tasks.stderr
    )
    assert "done already" in run(tmp_path / "out", *flags, "--tasks", "3").stderr
    late = run(tmp_path / "out", *flags, "--rules.min-words", "9")
    assert late.returncode == 2 and "rules.min_words 8 -> 9" in late.stderr


def kill_at(out: Path, flags: tuple[str, ...], name: str, *more: str) -> None:
    """Kills a run as soon as `name` lies in its folder."""
    process = subprocess.Popen(
        command(out, *flags, *more), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while not (out.with_name(out.name + ".partial") / name).exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.001)
    process.kill()
    process.wait()


@pytest.mark.slow
def test_the_driver_or_a_worker_killed_at_any_moment(tmp_path: Path) -> None:
    """Six times; what was done stays, and the end is the same bytes."""
    source = write_input(tmp_path / "in")
    flags = ("--input", str(source), "--workers", "2", "--tasks", "6", "--shard-documents", "100")
    started = time.monotonic()
    assert run(tmp_path / "whole", *flags).returncode == 0
    seconds = time.monotonic() - started
    rng = random.Random(os.environ.get("SEED", 0))
    for number in range(6):
        out = tmp_path / "out"
        process = subprocess.Popen(command(out, *flags), stderr=subprocess.PIPE, text=True)
        time.sleep(rng.uniform(0.3, 0.9) * seconds)
        workers = children(process.pid)
        is_worker = number % 2 == 0 and bool(workers)
        before = parts(out)
        with_signal = rng.choice(workers) if is_worker else process.pid
        os.kill(with_signal, signal.SIGKILL)
        said = process.communicate(timeout=60)[1]
        if is_worker and process.returncode:
            assert process.returncode == 2 and "SIGKILL" in said, said
        assert before <= parts(out)
        done = run(out, *flags)
        assert done.returncode == 0, done.stderr
        assert contents(out) == contents(tmp_path / "whole")
        shutil.rmtree(out)


def parts(out: Path) -> set[str]:
    """The tasks that are done."""
    return {path.name for path in out.with_name(out.name + ".partial").glob("parts-*/counts-*")}
