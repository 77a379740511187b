from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conan_data.readers import Broken, Row, Share, arrow_rows, read_rows


def split(path: Path, **options: Any) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    rows = list(read_rows(path, **options))
    return [row.values for row in rows if isinstance(row, Row)], [
        (row.place, row.reason) for row in rows if isinstance(row, Broken)
    ]


def table(num_rows: int) -> pa.Table:
    return pa.table(
        {
            "id": list(range(num_rows)),
            "text": [f"text {number * 7919 % 997} 雪" for number in range(num_rows)],
        }
    )


def damage(path: Path, group: int) -> None:
    """Overwrites the pages of the text column of a row group."""
    column = pq.read_metadata(path).row_group(group).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + column.total_compressed_size] = b"\x55" * column.total_compressed_size
    path.write_bytes(content)


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_a_damaged_row_group_costs_itself_alone(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(table(3000), path, row_group_size=1000, compression=compression, write_page_checksum=True)
    damage(path, 1)
    rows, problems = split(path)
    assert [row["id"] for row in rows] == [*range(1000), *range(2000, 3000)]
    assert problems == [(1001, "corrupt-row-group")]
    raw = next(item.raw for item in read_rows(path) if isinstance(item, Broken))
    assert raw.startswith("rows 1001 to 2000, of row group 2: ")


@pytest.mark.parametrize("content", [b"", b"PAR1 no", b"PAR1" + b"x" * 100 + b"\xff\xff\xff\x7fPAR1"])
def test_a_file_without_a_footer_is_one_broken_row(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)
    assert split(path) == ([], [(1, "unreadable-parquet")])
    assert [list(read_rows(path, Share(index, 2))) != [] for index in range(2)] == [True, False]


def test_text_in_other_types(tmp_path: Path) -> None:
    texts = ["one", "雪", None, ""]
    kinds = {
        "binary": pa.array([text and text.encode() for text in texts], pa.binary()),
        "large_binary": pa.array([text and text.encode() for text in texts], pa.large_binary()),
        "dictionary": pa.array(texts).dictionary_encode(),
        "binary_dictionary": pa.array(
            [text and text.encode() for text in texts], pa.binary()
        ).dictionary_encode(),
        "large_string": pa.array(texts, pa.large_string()),
        "string_view": pa.array(texts, pa.string_view()),
        "nested": pa.array([{"a": {"b": text}} for text in texts]),
    }
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(kinds), path)
    rows, problems = split(path)
    assert problems == []
    for row, text in zip(rows, texts, strict=True):
        assert row.pop("nested") == {"a": {"b": text}}
        assert set(row.values()) == {text}


def test_a_value_that_cannot_be_read_costs_its_row(tmp_path: Path) -> None:
    broken_text = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb")]
    )
    times = pa.array([0, 1, 1 << 62], pa.timestamp("s"))
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": broken_text, "time": times.cast(pa.timestamp("ms"), safe=False)}), path)
    rows, problems = split(path)
    assert [row["text"] for row in rows] + [place for place, _ in problems] in (["a", "b", 2], ["a", 2, 3])
    assert (2, "invalid-utf8") in problems


@pytest.mark.parametrize("row_group_size", [100, 5000])
def test_shares_are_the_whole_file(tmp_path: Path, row_group_size: int) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(table(5000), path, row_group_size=row_group_size, write_page_checksum=True)
    damage(path, pq.read_metadata(path).num_row_groups - 1)
    whole = [(item.place, type(item)) for item in read_rows(path)]
    parts = [[(item.place, type(item)) for item in read_rows(path, Share(index, 4))] for index in range(4)]
    assert sorted((item for part in parts for item in part), key=lambda item: item[0]) == whole
    assert row_group_size == 5000 or all(parts)


def test_datasets_folders_in_shares_with_their_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_rows, "BATCH", 10)
    splits = {"train": datasets.Dataset(table(95)), "test": datasets.Dataset(table(30)).select(range(5, 25))}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "set"))
    items = list(read_rows(tmp_path / "set"))
    assert [item.values["id"] for item in items if isinstance(item, Row)] == [*range(95), *range(5, 25)]
    assert [item.place for item in items] == list(range(1, 116))
    parts = [[item.place for item in read_rows(tmp_path / "set", Share(index, 3))] for index in range(3)]
    assert sorted(place for part in parts for place in part) == list(range(1, 116)) and all(parts)


def test_a_damaged_datasets_folder_is_one_broken_row(tmp_path: Path) -> None:
    datasets.Dataset(table(50)).save_to_disk(str(tmp_path / "set"))
    for path in (tmp_path / "set").glob("*.arrow"):
        path.write_bytes(path.read_bytes()[:100])
    assert split(tmp_path / "set") == ([], [(1, "unreadable-dataset")])


def test_rows_over_the_limit_are_broken(tmp_path: Path) -> None:
    rows = [{"text": "x" * size} for size in (10, 5000, 20, 900, 3000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "set"))
    for path in (tmp_path / "rows.parquet", tmp_path / "set"):
        found, problems = split(path, max_line_bytes=1000)
        assert [len(row["text"]) for row in found] == [10, 20, 900]
        assert problems == [(2, "row-too-long"), (5, "row-too-long")]
        assert split(path) == (rows, [])
