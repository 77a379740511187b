"""Where documents come from and what they are called: by the path below the input, whatever else is in it."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from conan_data import tables
from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.errors import UserError
from tests.conan_data.corpus.test_build import contents, documents, sentence

PAGES = ("garden", "kitchen", "workshop", "library")


def text(topic: str) -> str:
    """Sentences that no other topic has."""
    rng = random.Random(topic)
    return " ".join(sentence("en", rng) for _ in range(6))


def page(topic: str) -> str:
    return f"<html lang=en><title>{topic}</title><body><article><p>{text(topic)}</p></article></body></html>"


def manual(folder: Path, name: str, num_pages: int = 3) -> Path:
    """A folder of pages that are called alike in every such folder."""
    for number in range(num_pages):
        path = folder / name / "html" / f"ch0{number}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(f"{name} {PAGES[number]}"), encoding="utf-8")
    return folder / name


def rows(path: Path, *values: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in values), encoding="utf-8")
    return path


def build(out: Path, *inputs: Path | str, **fields: Any) -> dict[str, dict[str, Any]]:
    """The documents by their ids."""
    made = build_corpus(
        BuildCorpusConfig(out=out, input=tuple(map(str, inputs)), languages=("en",), **fields)
    )
    kept = documents(made)
    assert len({row["id"] for row in kept}) == len(kept)
    return {row["id"]: row for row in kept}


def test_pages_are_called_by_their_path_below_the_input(tmp_path: Path) -> None:
    manual(tmp_path / "in", "tools"), manual(tmp_path / "in", "policy")
    rows(tmp_path / "in" / "more" / "a.jsonl", {"text": text("mill")}, {"id": "own", "text": text("bridge")})
    kept = build(tmp_path / "out", tmp_path / "in")
    pages = {f"{name}/html/ch0{number}.html" for name in ("tools", "policy") for number in range(3)}
    assert set(kept) == pages | {"more/a.jsonl:1", "own"}
    shutil.move(tmp_path / "in", tmp_path / "elsewhere")
    moved = build(tmp_path / "again", tmp_path / "elsewhere")
    assert {name: row["text"] for name, row in moved.items()} == {
        name: row["text"] for name, row in kept.items()
    }


def test_rows_say_where_they_were_read(tmp_path: Path) -> None:
    url = "https://www.Example.org:80/a?b#c"
    path = rows(tmp_path / "a.jsonl", {"text": "no"}, {"id": "x", "text": text("mill"), "url": url})
    (row,) = build(tmp_path / "out", path).values()
    assert (row["file"], row["place"], row["url"], row["host"]) == ("a.jsonl", 2, url, "example.org")
    (drop,) = pq.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    assert (drop["id"], drop["file"], drop["place"]) == ("a.jsonl:1", "a.jsonl", 1)
    assert {"file", "place", "url", "host"} <= set(tables.DOCUMENT.names)


@pytest.mark.parametrize("other", ["a-first", "z-last"])
def test_another_folder_gives_no_id_to_another_text(tmp_path: Path, other: str) -> None:
    first, second = manual(tmp_path / "m", "tools"), manual(tmp_path / other, "policy", 4)
    before = build(tmp_path / "before", first)
    after = build(tmp_path / "after", first, second)
    assert set(before) == {f"html/ch0{number}.html" for number in range(3)}
    assert len(after) == 7 and "html/ch03.html" in after
    texts = {name: row["text"] for name, row in before.items()}
    assert all(texts.get(name, row["text"]) == row["text"] for name, row in after.items())
    # A common path is told apart by the text, whichever comes first.
    tagged = {name.partition("~")[0]: [] for name in before}
    for name in after:
        tagged.get(name.partition("~")[0], []).append("~" in name)
    assert set(map(tuple, tagged.values())) == {(True, True)}
    swapped = build(tmp_path / "swapped", second, first)
    assert {name: row["text"] for name, row in swapped.items()} == {
        name: row["text"] for name, row in after.items()
    }


@pytest.mark.parametrize("other", ["a.jsonl", "z.jsonl"])
def test_ids_that_files_share_go_to_none_of_them(
    tmp_path: Path, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "in"
    rows(folder / "m.jsonl", {"id": 0, "text": text("mill")}, {"id": "own", "text": text("bridge")})
    before = build(tmp_path / "before", folder)
    rows(
        folder / other,
        {"id": 0, "text": text("ferry")},
        {"id": 1, "text": text("tower")},
        {"id": 0, "text": text("mill")},
    )
    after = build(tmp_path / "after", folder)
    assert set(before) == {"0", "own"} and {"1", "own"} <= set(after) and len(after) == 4
    assert {name.partition("~")[0] for name in set(after) - {"1", "own"}} == {"0"} and "0" not in after
    assert [line for line in caplog.messages if "share an id" in line and "such as 0~" in line]
    # What a row is called with its tag is settled: more input does not change it.
    rows(folder / "b.jsonl", {"id": 0, "text": text("market")})
    assert set(after) < set(build(tmp_path / "more", folder))


def test_a_copy_takes_no_id_away(tmp_path: Path) -> None:
    first = manual(tmp_path / "a", "tools")
    before = build(tmp_path / "before", first)
    shutil.copytree(first, tmp_path / "copy")
    after = build(tmp_path / "after", first, tmp_path / "copy")
    assert set(before) == set(after)


@pytest.mark.parametrize("pattern", ["in/**/*.html", "in/*/html/*.html"])
def test_the_path_below_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    manual(tmp_path / "in", "tools"), manual(tmp_path / "in", "policy")
    names = {f"{name}/html/ch0{number}.html" for name in ("tools", "policy") for number in range(3)}
    assert set(build(tmp_path / "absolute", str(tmp_path / pattern))) == names
    monkeypatch.chdir(tmp_path)
    assert set(build(tmp_path / "relative", pattern)) == names


def test_tasks_do_not_change_ids(tmp_path: Path) -> None:
    inputs = [manual(tmp_path / name, name) for name in ("one", "two", "three")]
    inputs.append(rows(tmp_path / "a.jsonl", *({"id": n % 2, "text": text(f"mill {n}")} for n in range(9))))
    made = []
    for name, fields in (("a", {}), ("b", {"tasks": 7}), ("c", {"tasks": 3, "workers": 2})):
        assert len(build(tmp_path / name, *inputs, **fields)) > 9
        made.append(contents(tmp_path / name))
    assert made[0] == made[1] == made[2]


def test_groups_come_from_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for topic in ("guide", "faq"):
        for lang in ("de", "fr"):
            (folder / "x").mkdir(parents=True, exist_ok=True)
            (folder / "x" / f"{topic}.{lang}.html").write_text(page(f"{topic} of {lang}"), encoding="utf-8")
    (folder / "x" / "index.html").write_text(page("index"), encoding="utf-8")
    kept = build(tmp_path / "out", folder, group_path_regex=r"^(.+)\.\w\w\.html$")
    assert {name: row["group"] for name, row in kept.items()} == {
        "x/guide.de.html": "x/guide",
        "x/guide.fr.html": "x/guide",
        "x/faq.de.html": "x/faq",
        "x/faq.fr.html": "x/faq",
        "x/index.html": "x/index.html",
    }


def test_groups_come_from_an_id(tmp_path: Path) -> None:
    path = rows(tmp_path / "a.jsonl", *({"id": f"p@{n}", "text": text(f"mill {n}")} for n in range(3)))
    kept = build(tmp_path / "out", path, group_regex="^(.*)@")
    assert {row["group"] for row in kept.values()} == {"p"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"group_regex": "("}, r"group_regex: must be a regular expression with a bracketed part"),
        ({"group_path_regex": "^x"}, r"group_path_regex: must be a regular expression with a bracketed part"),
        ({"group_regex": "(x)", "group_field": "y"}, "groups can be named in one way only"),
        (
            {"group_path_regex": "(no)-such"},
            r"group_path_regex: no document has a path in which '\(no\)-such' is found",
        ),
        ({"group_regex": "(no)-such"}, r"group_regex: no document has an id in which '\(no\)-such' is found"),
    ],
)
def test_groups_that_cannot_be_named(tmp_path: Path, fields: dict[str, str], message: str) -> None:
    path = rows(tmp_path / "a.jsonl", {"id": "a", "text": text("mill")})
    with pytest.raises(UserError, match=message):
        build(tmp_path / "out", path, **fields)
