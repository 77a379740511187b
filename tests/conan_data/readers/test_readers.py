import bz2
import gzip
import json
import lzma
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from conan_data.errors import UserError
from conan_data.readers import Broken, Row, quarantine, read_rows

PACK = {"gz": gzip.compress, "zst": zstandard.compress, "bz2": bz2.compress, "xz": lzma.compress}
GOOD = [{"id": "a", "text": "Schnee"}, {"id": "b", "text": "雪が降る"}, {"id": "c", "text": "x\ty"}]


def lines(rows: list[dict[str, str]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def split(path: Path) -> tuple[list[dict[str, object]], list[tuple[int, str]]]:
    rows = list(read_rows(path))
    return [row.values for row in rows if isinstance(row, Row)], [
        (row.place, row.reason) for row in rows if isinstance(row, Broken)
    ]


@pytest.mark.parametrize(
    "ending",
    ["jsonl", "jsonl.gz", "jsonl.zst", "jsonl.bz2", "jsonl.xz", "ndjson", "parquet", "csv", "tsv", "csv.gz"],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(GOOD), path)
    elif ending.startswith(("csv", "tsv")):
        mark = "\t" if ending == "tsv" else ","
        content = "\r\n".join(
            [mark.join(["id", "text"]), *(mark.join(f'"{value}"' for value in row.values()) for row in GOOD)]
        )
        path.write_bytes(gzip.compress(content.encode()) if ending.endswith("gz") else content.encode())
    else:
        path.write_bytes(PACK.get(ending.partition(".")[2], bytes)(lines(GOOD)))
    rows, problems = split(path)
    assert rows == GOOD and problems == []


def test_a_datasets_folder(tmp_path: Path) -> None:
    datasets.Dataset.from_list(GOOD).save_to_disk(str(tmp_path / "set"))
    assert split(tmp_path / "set") == (GOOD, [])
    with pytest.raises(UserError, match=r"save_to_disk"):
        list(read_rows(tmp_path))


def test_a_kind_of_file_that_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a readable kind of file"):
        list(read_rows(tmp_path / "a.xlsx"))


def test_quarantine_keeps_place_reason_and_text(tmp_path: Path) -> None:
    quarantine([Broken("f.jsonl", 3, "invalid-json", "{")], tmp_path / "q.jsonl")
    assert json.loads((tmp_path / "q.jsonl").read_text()) == {
        "file": "f.jsonl",
        "place": 3,
        "reason": "invalid-json",
        "raw": "{",
    }
