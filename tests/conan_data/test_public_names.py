import shutil
from pathlib import Path

import pytest

from conan_data import artifact, public_names, sources
from conan_data.public_names import SAMPLE_DIR, public_name
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
