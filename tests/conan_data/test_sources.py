import logging
from pathlib import Path

import datasets
import pytest

from conan_data.errors import UserError
from conan_data.sources import expand

DATA = [
    "a.jsonl",
    "b.jsonl.gz",
    "c.jsonl.zst",
    "d.ndjson.bz2",
    "e.csv",
    "f.tsv.xz",
    "g.parquet",
    "h.html",
    "i.htm",
    "j.warc.gz",
    "k.warc.wet.gz",
    "sub/L.JSONL",
    "spark.parquet/part-0.parquet",
]
STRAY = ["README.md", "_SUCCESS", "a.jsonl.tmp", "a.jsonl.crc", "part.parquet.crc", "x.txt", "notes.json"]
HIDDEN = [".a.jsonl", ".cache/b.jsonl", "_temporary/0/c.parquet", "sub/.ipynb_checkpoints/d.csv"]


def test_a_folder_gives_its_data_files_and_says_what_it_leaves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in [*DATA, *STRAY, *HIDDEN]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with caplog.at_level(logging.INFO):
        assert expand([str(tmp_path)]) == sorted(tmp_path / name for name in DATA)
    assert f"{len(STRAY)} files are no data and are not read (README.md)" in caplog.text
    assert expand([str(tmp_path / "**" / "*")]) == expand([str(tmp_path)])
    for name in STRAY:
        with pytest.raises(UserError, match="not a readable kind of file"):
            expand([str(tmp_path / name)])


def test_a_datasets_folder_is_read_as_one(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(str(tmp_path / "set"))
    assert expand([str(tmp_path / "set")]) == [tmp_path / "set"]


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    with pytest.raises(UserError, match="no data file there"):
        expand([str(tmp_path)])
