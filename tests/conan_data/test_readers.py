import gzip
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from conan_data.errors import UserError
from conan_data.readers import Broken, Row, quarantine, read_rows

GOOD = [{"id": "a", "text": "Schnee"}, {"id": "b", "text": "雪が降る"}, {"id": "c", "text": "x\ty"}]


def lines(rows: list[dict[str, str]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def split(path: Path) -> tuple[list[dict[str, object]], list[tuple[int, str]]]:
    rows = list(read_rows(path))
    return [row.values for row in rows if isinstance(row, Row)], [
        (row.place, row.reason) for row in rows if isinstance(row, Broken)
    ]


@pytest.mark.parametrize(
    "ending", ["jsonl", "jsonl.gz", "jsonl.zst", "ndjson", "parquet", "csv", "tsv", "csv.gz"]
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
        pack = {"gz": gzip.compress, "st": zstandard.compress}.get(ending[-2:], bytes)
        path.write_bytes(pack(lines(GOOD)))
    rows, problems = split(path)
    assert rows == GOOD and problems == []


def test_a_datasets_folder(tmp_path: Path) -> None:
    datasets.Dataset.from_list(GOOD).save_to_disk(str(tmp_path / "set"))
    assert split(tmp_path / "set") == (GOOD, [])
    with pytest.raises(UserError, match=r"save_to_disk"):
        list(read_rows(tmp_path))


BAD = {
    b'{"id": "x", "text": "cut': "invalid-json",
    b'{"id": "x", "text": "\xff\xfe"}': "invalid-utf8",
    b'["a", "list"]': "not-an-object",
    b'"text"': "not-an-object",
    b'{"id": "x", "score": NaN}': "invalid-json",
    b'{"id": "x", "text": "\\ud800"}': "invalid-json",
}


def test_a_broken_line_costs_that_line_alone_and_says_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + lines(GOOD[:1]) + b"\n".join(BAD) + b"\n\n" + lines(GOOD[1:]))
    rows, problems = split(path)
    assert rows == GOOD
    assert problems == [(place, reason) for place, reason in enumerate(BAD.values(), start=2)]


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_stream_that_breaks_off_is_one_broken_row(tmp_path: Path, ending: str) -> None:
    many = [{"id": str(number), "text": f"row {number * 7919 % 10007}"} for number in range(20000)]
    pack = gzip.compress if ending == "gz" else zstandard.compress
    path = tmp_path / f"rows.jsonl.{ending}"
    path.write_bytes(pack(lines(many))[:-200])
    rows, problems = split(path)
    assert [reason for _, reason in problems] == ["truncated-file"]
    assert rows == many[: len(rows)]


def test_two_zstd_frames_in_a_file_are_both_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(zstandard.compress(lines(GOOD[:2])) + zstandard.compress(lines(GOOD[2:])))
    assert split(path) == (GOOD, [])


def test_csv_rows_with_other_fields_than_the_header(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'id,text\na,one\nb\nc,two,three\nd,"last\nline"\ne,\xff\n')
    rows, problems = split(path)
    assert rows == [{"id": "a", "text": "one"}, {"id": "d", "text": "last\nline"}]
    assert problems == [(3, "wrong-number-of-fields"), (4, "wrong-number-of-fields"), (7, "invalid-utf8")]


def test_files_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match=r"a\.parquet: not a readable Parquet file"):
        list(read_rows(tmp_path / "a.parquet"))
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
