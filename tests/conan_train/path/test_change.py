"""Changing one's mind about a recipe: what would run, what is replaced, what a refusal says, and what stays done."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from conan_data.cli import COMMANDS as DATA_COMMANDS
from conan_data.command import main
from conan_train.cli import COMMANDS

RECIPE = """
root: "${here}/runs"
build-xlr: {data: sample, split: dev, mix: {en: 1, zh: 1}}
scores: {command: evaluate, model: bm25, data: "${root}/build-xlr", split: dev, min_queries: 1, bootstrap: 0}
mixed: {command: evaluate, model: bm25, data: "${root}/build-xlr", split: dev, min_queries: 1, bootstrap: 0, pools: mixed}
report: {inputs: ["${root}/scores", "${root}/mixed"]}
"""


def run(*tokens: str) -> int:
    return main("conan-train", "", COMMANDS, ["run", *tokens])


def states(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Stage to what it would do, from the table."""
    lines = capsys.readouterr().out.splitlines()[2:]
    return {line.split()[0]: re.split(r" {2,}", line)[1] for line in lines}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "r.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def done(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run("lab/r.yaml") == 0
    capsys.readouterr()
    return folder


def test_a_dry_run_says_what_would_run_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("lab/r.yaml", "--dry-run") == 0
    assert states(capsys) == dict.fromkeys(("build-xlr", "scores", "mixed", "report"), "run")
    assert sorted(path.name for path in folder.rglob("*")) == ["lab", "r.yaml"]
    assert run("lab/r.yaml", "--only", "build-xlr") == 0
    # `out` is the folder of the stage below the root, which is beside the recipe.
    assert (folder / "lab" / "runs" / "build-xlr" / "manifest.json").is_file()
    capsys.readouterr()
    assert run("lab/r.yaml", "--dry-run") == 0
    assert states(capsys) == {"build-xlr": "do nothing", "scores": "run", "mixed": "run", "report": "run"}
    assert run("lab/r.yaml", "--dry-run", "--from", "mixed") == 0
    assert set(states(capsys)) == {"mixed", "report"}


def test_a_refusal_prints_the_command_that_goes_on(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (done / "lab" / "r.yaml").write_text(RECIPE.replace("pools: mixed", "pools: pairs"))
    assert run("lab/r.yaml", "--dry-run") == 0
    assert states(capsys) == {
        "build-xlr": "do nothing",
        "scores": "do nothing",
        "mixed": "refuse",
        "report": "wait",
    }
    assert run("lab/r.yaml") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: mixed: ") and "pools 'mixed' -> 'pairs'" in line
    command = shlex.split(line.split(": ")[-1])
    # The report reads what the changed stage writes, the other evaluation does not.
    assert command == ["conan-train", "run", "lab/r.yaml", "--overwrite", "mixed", "report"]
    assert run(*command[2:]) == 0
    capsys.readouterr()
    assert run("lab/r.yaml", "--dry-run") == 0
    assert set(states(capsys).values()) == {"do nothing"}


def test_a_single_command_says_it_too(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = ["evaluate", "--config", "lab/r.yaml", "--stage", "mixed", "--seed", "7"]
    assert main("conan-train", "", COMMANDS, tokens) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith(": conan-train " + shlex.join([*tokens, "--overwrite"]))


def test_a_moved_root_and_deleted_inputs_change_nothing(
    done: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    shutil.move(done / "lab" / "runs", done / "moved")
    assert run("lab/r.yaml", "--root", "moved", "--dry-run") == 0
    assert set(states(capsys).values()) == {"do nothing"}
    shutil.rmtree(done / "moved" / "build-xlr")
    later = ["--root", "moved", "--from", "scores"]
    assert run("lab/r.yaml", *later, "--dry-run") == 0
    assert set(states(capsys).values()) == {"do nothing"}
    assert run("lab/r.yaml", *later) == 0
    assert "its inputs are gone" in caplog.text
    # Another value, or another content of an input that is there, is another job.
    (done / "lab" / "r.yaml").write_text(RECIPE.replace("bootstrap: 0, pools", "bootstrap: 5, pools"))
    assert run("lab/r.yaml", "--root", "moved", "--only", "mixed") == 2
    assert "build-xlr: no such" in capsys.readouterr().err


def test_an_input_that_is_there_still_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (folder / f"{name}.jsonl").write_text(
            '{"query": "what is tide", "pos": ["tide is water"], "neg": ["bread"]}\n'
        )
    tokens = ["import-negatives", "--input", "a.jsonl", "b.jsonl", "--out", "set"]
    assert main("conan-data", "", DATA_COMMANDS, tokens) == 0
    (folder / "a.jsonl").unlink()
    assert main("conan-data", "", DATA_COMMANDS, tokens) == 0
    (folder / "b.jsonl").write_text('{"query": "other", "pos": ["text"], "neg": ["bread"]}\n')
    capsys.readouterr()
    assert main("conan-data", "", DATA_COMMANDS, tokens) == 2
    assert "a.jsonl: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--from", "--only", "--overwrite"])
def test_a_misspelt_stage_is_named(flag: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lab/r.yaml", flag, "repot") == 2
    error = capsys.readouterr().err
    assert error == f"error: {flag}: lab/r.yaml has no stage 'repot' (did you mean 'report'?)\n"
