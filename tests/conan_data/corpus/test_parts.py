from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conan_data.corpus.order import Order, write_order
from conan_data.corpus.parts import (
    DROPPED,
    KEPT,
    Parts,
    PartTable,
    PartWriter,
    missing_parts,
    part_path,
    sum_counts,
)


def kept(**values: Any) -> tuple[Any, ...]:
    return tuple(values.get(name) for name in KEPT.names)


def dropped(**values: Any) -> tuple[Any, ...]:
    return tuple(values.get(name) for name in DROPPED.names)


def write(
    folder: Path, rank: int, places: list[tuple[int, int]], drops: Sequence[tuple[int, int]] = ()
) -> None:
    with PartWriter(folder, rank) as part:
        part.counts["labels"].update(right=len(places))
        for file, row in places:
            values = {
                "file_number": file,
                "row_number": row,
                "id": f"{file}-{row}",
                "text": f"text {file} {row}",
            }
            part.add("kept", kept(**values))
        for file, row in drops:
            part.add("dropped", dropped(file_number=file, row_number=row, id=f"{file}-{row}"))


def test_rows_come_in_the_order_of_the_input(tmp_path: Path) -> None:
    write(tmp_path, 0, [(0, 5), (1, 0), (1, 7)], [(0, 6)])
    write(tmp_path, 1, [(0, 1), (0, 9), (1, 2)], [(0, 0), (2, 0)])
    parts = Parts(tmp_path, 2)
    write_order(parts, tmp_path)
    order = Order(tmp_path)
    is_kept = order.positions < parts.num_kept
    assert is_kept.tolist() == [False, True, True, False, True, True, True, True, False]
    assert parts.take(order.positions[is_kept], ["id"]).column("id").to_pylist() == [
        "0-1", "0-5", "0-9", "1-0", "1-2", "1-7",
    ]  # fmt: skip
    assert parts.take(order.positions[~is_kept], ["id"]).column("id").to_pylist() == ["0-0", "0-6", "2-0"]
    assert parts.values("text", order.positions[[7, 1]]) == ["text 1 7", "text 0 1"]
    assert (order.numbers[order.positions] == np.arange(9)).all()
    assert sum_counts(tmp_path, 2)["labels"] == {"right": 6}


def test_many_rows_pass_the_batch_size(tmp_path: Path) -> None:
    write(tmp_path, 0, [(0, row) for row in range(9000)])
    table = PartTable(part_path(tmp_path, "kept", 0))
    assert len(table.batches) == 3
    assert table.column("row_number", 4000, 8500).tolist() == list(range(4000, 8500))
    assert table.take(np.array([0, 4095, 4096, 8999]), ["id"]).column("id").to_pylist() == [
        "0-0", "0-4095", "0-4096", "0-8999",
    ]  # fmt: skip


def test_long_texts_are_written_at_once(tmp_path: Path) -> None:
    with PartWriter(tmp_path, 0) as part:
        for row in range(4):
            text = "x" * 5_000_000
            part.add("kept", kept(file_number=0, row_number=row, text=text), characters=len(text))
    assert [batch.num_rows for batch in PartTable(part_path(tmp_path, "kept", 0)).batches] == [2, 2]


def test_a_part_that_fails_is_not_finished(tmp_path: Path) -> None:
    write(tmp_path, 1, [(0, 1)])
    with pytest.raises(ZeroDivisionError), PartWriter(tmp_path, 0) as part:
        part.add("kept", kept(id="a"))
        _ = 1 // 0
    assert missing_parts(tmp_path, 3) == [0, 2]
