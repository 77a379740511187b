import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from conan_data import artifact
from conan_data.cli import COMMANDS
from conan_data.command import main
from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.steps import read as read_step
from conan_data.corpus.steps.read import ReadRows
from conan_data.errors import UserError
from conan_data.readers import ExtractConfig
from conan_data.readers.fields import Fields

TEXT = "The old mill by the river was built long ago, and the people of the village still bring their grain to it {}."


def write(path: Path, rows: list[Any]) -> Path:
    path.write_bytes(
        b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)
    )
    return path


def config(out: Path, *inputs: Path, **fields: Any) -> BuildCorpusConfig:
    return BuildCorpusConfig(out=out, input=tuple(map(str, inputs)), languages=("en",), **fields)


def test_fields_by_other_names(tmp_path: Path) -> None:
    rows = [
        {"meta": {"key": number}, "raw": {"content": TEXT.format(f"{number} times " * 9)}, "text": 3}
        for number in range(20)
    ]
    path = write(tmp_path / "a.jsonl", rows)
    (step,) = [
        ReadRows.from_config(
            config(tmp_path / "out", path, text_field="raw.content", id_field="meta.key"), {path: path.name}
        )
    ]
    documents = list(step.run(None))
    assert [document.id for document in documents] == [str(number) for number in range(20)]
    assert all("dropped" not in document.metadata for document in documents)


def test_an_unknown_text_field_is_refused_with_the_fields_that_are_there(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        [b"{broken", *({"id": n, "raw": {"content": "x"}, "url": "u"} for n in range(300))],
    )
    with pytest.raises(
        UserError, match=r"text_field: no row has the field 'text'; the fields are id, raw\.content, url$"
    ):
        build_corpus(config(tmp_path / "out", path))
    other = write(tmp_path / "b.jsonl", [{"id": 1, "text": TEXT.format("again")}])
    assert (
        artifact.open_artifact(build_corpus(config(tmp_path / "out", path, other))).rows.dropped[
            "broken-no-text"
        ]
        == 300
    )


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{broken", "invalid-json"),
        ({"id": "x", "text": None}, "no-text"),
        ({"id": {}, "text": "a"}, "id-is-no-string"),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_strict_stops_at_a_broken_row_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: Any, reason: str, workers: int
) -> None:
    good = [{"id": number, "text": TEXT.format(number)} for number in range(50)]
    path = write(tmp_path / "a.jsonl", [*good[:30], bad, *good[30:]])
    flags = [
        "--input",
        str(path),
        "--languages",
        "en",
        "--out",
        str(tmp_path / "out"),
        "--workers",
        str(workers),
    ]
    if workers == 1 or bad == b"{broken":
        assert main("conan-data", "", COMMANDS, ["build-corpus", *flags, "--strict"]) == 2
        shown = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"{path.name}, row 31: {reason} (strict)" in shown
        assert not list(tmp_path.glob("out*/manifest.json"))
    step = ReadRows.from_config(config(tmp_path / "x", path), {path: path.name})
    assert sum("dropped" in document.metadata for document in step.run(None)) == 1


def test_the_configs_fields_reach_the_reader(tmp_path: Path) -> None:
    made = config(
        tmp_path,
        tmp_path,
        max_line_bytes=50,
        strict=True,
        extract=ExtractConfig(time_limit=1),
        group_field="g",
    )
    step = ReadRows.from_config(made, {})
    assert step.fields == Fields(group="g") and step.strict
    assert step.options == {"max_line_bytes": 50, "extract": ExtractConfig(time_limit=1)}
    with pytest.raises(UserError, match="max_line_bytes: must be at least 1"):
        dataclasses.replace(made, max_line_bytes=0)


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
def test_every_task_parses_its_own_rows_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    content = b"".join(
        json.dumps({"id": number, "text": f"row {number}"}).encode() + b"\n" for number in range(2000)
    )
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    monkeypatch.setattr(read_step, "BLOCK", 500)
    step = ReadRows({path: path.name}, Fields(), {}, strict=False, show_progress=False)
    parsed: list[bytes] = []
    loads = __import__("orjson").loads
    monkeypatch.setattr("orjson.loads", lambda line: parsed.append(line) or loads(line))
    tasks = [[document.id for document in step.run(None, rank, 4)] for rank in range(4)]
    assert sorted(int(name) for task in tasks for name in task) == list(range(2000))
    assert len(parsed) == 2000 and all(400 < len(task) < 600 for task in tasks)


def test_web_pages_become_a_corpus(tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    for number in range(3):
        body = f"<p>{TEXT.format(number)}</p><p>Bread number {number} is baked of it, and sold on the market every Saturday.</p>"
        (folder / f"p{number}.html").write_text(
            f"<html lang=en><title>Page {number}</title><body><article>{body}</article></body></html>"
        )
    (folder / "empty.html").write_text("")
    out = build_corpus(config(tmp_path / "out", folder, text_field="body"))
    assert artifact.open_artifact(out).rows.read == 4
    assert artifact.open_artifact(out).rows.dropped["broken-no-main-text"] == 1
