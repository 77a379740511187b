from pathlib import Path

import pytest

from conan_data.corpus.parts import PartWriter, Table, missing_parts, sum_counts


def write(folder: Path, rank: int, places: list[tuple[int, int]]) -> None:
    with PartWriter(folder, rank) as part:
        part.counts["labels"].update(right=len(places))
        for file, row in places:
            part.add(
                "kept",
                {"file_number": file, "row_number": row, "id": f"{file}-{row}", "text": f"text {file} {row}"},
            )


def test_rows_come_back_in_the_order_of_the_input(tmp_path: Path) -> None:
    write(tmp_path, 0, [(0, 5), (1, 0), (1, 7)])
    write(tmp_path, 1, [(0, 1), (0, 9), (1, 2)])
    table = Table(tmp_path, "kept", 2)
    assert table.column("id") == ["0-1", "0-5", "0-9", "1-0", "1-2", "1-7"]
    assert [table.text(index) for index in range(len(table))] == [
        "text 0 1",
        "text 0 5",
        "text 0 9",
        "text 1 0",
        "text 1 2",
        "text 1 7",
    ]
    assert len(Table(tmp_path, "dropped", 2)) == 0
    assert sum_counts(tmp_path, 2) == {"labels": {"right": 6}, "masked": {}}


def test_many_rows_pass_the_batch_size(tmp_path: Path) -> None:
    write(tmp_path, 0, [(0, row) for row in range(2345)])
    assert Table(tmp_path, "kept", 1).column("row_number") == list(range(2345))


def test_a_part_that_fails_is_not_finished(tmp_path: Path) -> None:
    write(tmp_path, 1, [(0, 1)])
    with pytest.raises(ZeroDivisionError), PartWriter(tmp_path, 0) as part:
        part.add("kept", {"id": "a"})
        _ = 1 // 0
    assert missing_parts(tmp_path, 3) == [0, 2]
