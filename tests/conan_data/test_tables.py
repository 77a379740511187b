from pathlib import Path

import pyarrow as pa
import pytest

from conan_data import tables
from conan_data.errors import UserError

ROW = {"_id": "a", "title": None, "text": "t", "lang": "en", "group": "a"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{key: value for key, value in ROW.items() if key != "lang"}], "f: column 'lang' is missing"),
        ([ROW | {"extra": 1}], "f: column 'extra' is not one of"),
        ([ROW | {"text": {"a": 1}}], "f: column 'text' is struct<a: int64>, not string"),
        ([ROW, ROW | {"text": None}], "f: row 1 has no 'text'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_place_and_field(
    rows: list[dict[str, object]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        tables.check(pa.Table.from_pylist(rows), tables.CORPUS, "f")


def test_columns_are_ordered_cast_and_optional_ones_added() -> None:
    table = tables.check(pa.table({"score": [2], "corpus-id": ["c"], "query-id": ["q"]}), tables.QRELS, "f")
    assert table.schema == tables.QRELS
    corpus = tables.check(
        pa.Table.from_pylist([{key: value for key, value in ROW.items() if key != "title"}]),
        tables.CORPUS,
        "f",
    )
    assert corpus.column("title").to_pylist() == [None]


def test_written_tables_are_read_back_and_are_the_same_bytes(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([ROW], schema=tables.CORPUS)
    for name in ("a", "b"):
        tables.write(table, tables.CORPUS, tmp_path / f"{name}.parquet")
    assert tables.read(tmp_path / "a.parquet", tables.CORPUS).equals(table)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    (tmp_path / "c.parquet").write_text("x")
    with pytest.raises(UserError, match=r"c\.parquet: not a readable Parquet file"):
        tables.read(tmp_path / "c.parquet", tables.CORPUS)
