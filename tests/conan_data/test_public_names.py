import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from conan_data import artifact, public_names, sources
from conan_data.config import Config, StageConfig
from conan_data.errors import UserError
from conan_data.inputs import DataPath, SomeDataPaths
from conan_data.pairs.pair_set import source_names
from conan_data.public_names import SAMPLE_DIR, public_name, published_json, published_name, published_value
from conan_data.readers import read_rows

CACHED = f"/home/of/somebody/datasets--o--n/snapshots/{'a' * 40}/data/x.parquet"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (SAMPLE_DIR / "crawl" / "news.csv", "sample:crawl/news.csv"),
        (SAMPLE_DIR / "retrieval", "sample:retrieval"),
        (CACHED, f"hf://datasets/o/n@{'a' * 40}/data/x.parquet"),
        ("data/x.jsonl", "data/x.jsonl"),
        ("/data/x.jsonl", "/data/x.jsonl"),
    ],
)
def test_no_name_says_where_the_package_or_the_cache_lies(path: str | Path, name: str) -> None:
    assert public_name(path) == name


def test_rows_and_inputs_of_the_sample_are_named_by_it() -> None:
    path = SAMPLE_DIR / "crawl" / "news.csv"
    assert next(iter(read_rows(path))).file == "sample:crawl/news.csv"
    assert artifact.describe_input(path)["path"] == "sample:crawl/news.csv"
    assert artifact.describe_input(SAMPLE_DIR / "retrieval")["path"] == "sample:retrieval"


@pytest.mark.parametrize("place", ["a/sample", "z/sample"])
def test_the_order_of_files_does_not_depend_on_where_the_package_lies(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SAMPLE_DIR / "crawl", tmp_path / place / "crawl")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "own.jsonl").write_text('{"text": "a"}\n')
    for module in (public_names, sources):
        monkeypatch.setattr(module, "SAMPLE_DIR", tmp_path / place)
    files = sources.expand(("sample", str(tmp_path / "m")))
    assert files[0].name == "own.jsonl"
    assert len(files) > 1


@pytest.mark.parametrize(
    ("path", "below", "name"),
    [
        ("/home/me/data/x.jsonl", (), "x.jsonl"),
        ("data/x.jsonl", (), "x.jsonl"),
        ("/home/me/data/en/x.jsonl", ("/home/me/data",), "data/en/x.jsonl"),
        ("/home/me/data/en/x.jsonl", ("other", "/home/me/data/"), "data/en/x.jsonl"),
        ("/home/me/data/en/x.jsonl", ("/home/me/data/*/x.jsonl",), "en/x.jsonl"),
        ("../data/x.jsonl", ("..",), "data/x.jsonl"),
        ("x.jsonl", (".",), "x.jsonl"),
        ("/home/me/data", ("/home/me/data",), "data"),
        (SAMPLE_DIR / "crawl" / "news.csv", (SAMPLE_DIR,), "sample:crawl/news.csv"),
        ("sample:crawl/news.csv", (), "sample:crawl/news.csv"),
        (CACHED, (), f"hf://datasets/o/n@{'a' * 40}/data/x.parquet"),
    ],
)
def test_what_is_published_says_nothing_of_this_machine(
    path: str | Path, below: tuple[str, ...], name: str
) -> None:
    assert published_name(path, below) == name


@pytest.mark.parametrize(
    ("value", "published"),
    [
        ("", ""), ("sample", "sample"), ("bm25", "bm25"), ("owner/name", "owner/name"), ("hf://datasets/o/n", "hf://datasets/o/n"),
        ("/home/me/corpus", "corpus"), ("./corpus/", "corpus"), ("~/corpus", "corpus"), ("texts/*.jsonl", "*.jsonl"),
        ("langid", "langid"), ("fasttext:/home/me/lid.bin", "fasttext:lid.bin"),
    ],
)  # fmt: skip
def test_what_names_an_input_is_published_without_its_place(value: str, published: str) -> None:
    assert published_value(value) == published


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part(Config):
    labels: DataPath = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadeConfig(StageConfig):
    data: SomeDataPaths
    part: Part = Part()
    field: str = "text"


def run(config: MadeConfig) -> Path:
    with artifact.building(
        config, kind="k", command="c", inputs=[*sources.expand(config.data), config.part.labels]
    ) as build:
        if not build.done:
            (build.dir / "x").write_text("x")
            build.publish(rows=artifact.Rows(read=1, kept=1))
    return build.out


def test_a_moved_root_relative_or_absolute_is_the_same_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def write(root: Path) -> None:
        for name in ("texts/en/a.jsonl", "texts/b.jsonl", "labels.jsonl"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(f'{{"text": "{name}"}}\n')

    def config(root: str) -> MadeConfig:
        return MadeConfig(
            out=Path(root) / "out", data=(f"{root}/texts",), part=Part(labels=f"{root}/labels.jsonl")
        )

    write(tmp_path / "one" / "root")
    write(tmp_path / "two" / "other")
    monkeypatch.chdir(tmp_path / "one")
    first = (run(config("root")) / "manifest.json").read_bytes()
    assert (run(config(str(tmp_path / "two" / "other"))) / "manifest.json").read_bytes() == first
    assert b"tmp" not in first and str(tmp_path).encode() not in first
    inputs = json.loads(first)["inputs"]
    assert [entry["path"] for entry in inputs] == ["texts/b.jsonl", "texts/en/a.jsonl", "labels.jsonl"]
    (tmp_path / "one" / "root").rename(tmp_path / "moved")
    caplog.set_level("INFO")
    run(config(str(tmp_path / "moved")))
    assert "done already" in caplog.text
    (tmp_path / "moved" / "labels.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="input labels.jsonl has changed"):
        run(config(str(tmp_path / "moved")))


def test_sets_of_one_name_are_told_apart_wherever_they_lie() -> None:
    for root in ("", "/home/me/", "../"):
        assert source_names([f"{root}a/set", f"{root}b/set", f"{root}other"]) == ("a/set", "b/set", "other")
        assert source_names([f"{root}x/a/set", f"{root}y/a/set"]) == ("x/a/set", "y/a/set")


def test_what_a_manifest_says_of_files_does_not_say_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "in" / "en").mkdir(parents=True)
    (tmp_path / "set").mkdir()
    inside, other = str(tmp_path / "in" / "en" / "x.jsonl"), str(tmp_path / "set")
    below = [str(tmp_path / "in"), other, "owner/name", "sample"]
    value = {"files": {inside: {"read": 1}, "owner/name": 2}, "sets": [other, "sample", "text", 5, None]}
    assert published_json(value, below) == {
        "files": {"in/en/x.jsonl": {"read": 1}, "owner/name": 2},
        "sets": ["set", "sample", "text", 5, None],
    }
    twice = {str(tmp_path / part / "x.jsonl"): part for part in ("a", "b", "c")}
    assert published_json(twice, list(twice)) == {"x.jsonl": "a", "b/x.jsonl": "b", "c/x.jsonl": "c"}
