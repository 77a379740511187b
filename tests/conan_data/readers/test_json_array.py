"""A JSON array of objects is read one element at a time, and says where it ends."""

import gzip
import json
from pathlib import Path

import pytest

from conan_data import sources
from conan_data.readers import Broken, Row, Share, read_rows


def found(path: Path, content: str | bytes) -> list[object]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [row.values if isinstance(row, Row) else (row.reason, row.place) for row in read_rows(path)]


@pytest.mark.parametrize("indent", [None, 2])
def test_what_json_writes(tmp_path: Path, indent: int | None) -> None:
    rows = [{"text": 'a 雪 "]},{" \\' * (number % 7), "n": [number, {"x": None}]} for number in range(3000)]
    assert (
        found(tmp_path / "a.json", "\ufeff" + json.dumps(rows, indent=indent, ensure_ascii=bool(indent)))
        == rows
    )
    parts = [[row.place for row in read_rows(tmp_path / "a.json", Share(index, 2))] for index in range(2)]
    assert sorted(parts[0] + parts[1]) == list(range(1, 3001)) and all(parts)
    assert sources.expand([str(tmp_path / "a.json")]) == [tmp_path / "a.json"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[{"a":1},{"a":2}', [{"a": 1}, {"a": 2}, ("truncated-file", 3)]),
        ('[{"a":1}] x', [{"a": 1}, ("invalid-json", 2)]),
        ('[{"a":1},{bad},{"a":3}]', [{"a": 1}, ("invalid-json", 2)]),
        ('[{"a":NaN}, 5, {"a":"\\ud800"}, {"a":4}]', [("invalid-json", 1), ("not-an-object", 2), ("invalid-json", 3), {"a": 4}]),
        (b'[{"a":"\xff"},{"a":2}]', [("invalid-utf8", 1), {"a": 2}]),
        ('{"a":1}\n{"a":2}', [{"a": 1}, {"a": 2}]),
        ('["q","p"]\n["q","p"]', [("not-an-object", 1), ("not-an-object", 2)]),
        ("[" * 100_000, [("invalid-json", 1)]),
    ],
)  # fmt: skip
def test_what_is_no_array_of_objects(tmp_path: Path, content: str | bytes, expected: list[object]) -> None:
    assert found(tmp_path / "a.json", content) == expected


def test_a_truncated_file_ends_in_one_broken_row(tmp_path: Path) -> None:
    rows = [{"n": number, "text": str(number * 7919 % 997)} for number in range(9999)]
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps(rows).encode())[:-500])
    read = list(read_rows(path))
    assert [row.values for row in read[:-1]] == rows[: len(read) - 1] and len(read) > 9000
    assert isinstance(read[-1], Broken) and read[-1].reason == "truncated-file"
