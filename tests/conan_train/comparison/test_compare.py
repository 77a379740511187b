"""The command, from the real evaluations of BM25 on the sample to the page."""

import json
from pathlib import Path

import pytest

from conan_data.command import main
from conan_train.cli import COMMANDS


def run(*tokens: str) -> int:
    return main("conan-train", "", COMMANDS, tokens)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    for name, options in {
        "one": ["--split", "dev"],
        "two": ["--split", "dev", "--pools", "pairs"],
        "other-split": ["--split", "train"],
    }.items():
        tokens = ["--model", "bm25", "--data", "sample", "--min-queries", "1", "--bootstrap", "0", *options]
        assert run("evaluate", *tokens, "--out", str(folder / name)) == 0
    return folder


def test_an_evaluation_does_not_differ_from_itself(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("compare", str(folder / "one"), str(folder / "two"), "--out", str(out)) == 0
    printed = capsys.readouterr().out
    assert "two against one, ndcg@10 in %" in printed and "0 are better and 0 worse" in printed
    found = json.loads((out / "comparison.json").read_text())
    records = [record for name in ("groups", "pairs") for record in found["comparisons"][0][name]]
    assert records and all(
        own["difference"] == 0 and own["holds"] in (False, None)
        for record in records
        for own in record["metrics"].values()
    )
    page = (out / "report.html").read_text()
    assert "two against one" in page and "http" not in page
    assert run("compare", str(folder / "one"), str(folder / "two"), "--out", str(out)) == 0
    assert capsys.readouterr().out == printed, "a second call prints what was found the first time"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["one"], "name at least two"),
        (["one", "one"], "name each once"),
        (["one", "other-split"], "its split differs"),
        (["one", "missing"], "missing: no such file or directory"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    names: list[str],
    words: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("compare", *(str(folder / name) for name in names), "--out", str(tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1
    assert not any(tmp_path.iterdir())
