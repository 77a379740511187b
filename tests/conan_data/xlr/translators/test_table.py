import json

import pyarrow as pa
import pytest

from conan_data import tables
from conan_data.errors import UserError
from conan_data.xlr.translators import Failure, Request, Translation
from conan_data.xlr.translators.table import TableTranslator, read_table

ROWS = [
    {"query_id": "a", "lang": "pt_PT", "text": "ficheiro", "origin": "human"},
    {"query_id": "a", "lang": "pt_BR", "text": "arquivo", "origin": "human"},
    {"query_id": "a", "lang": "zh_TW", "text": "檔案", "origin": None},
    {"query_id": "b", "lang": "xx", "text": "?"},
]


def table(rows):
    return pa.Table.from_pylist(rows, schema=tables.TRANSLATIONS)


def test_looks_up_by_language_of_the_mix():
    translator = TableTranslator(table(ROWS), ("pt", "zh", "zh_TW", "en"))
    assert translator.available("a") == {"pt", "zh_TW"}
    assert translator.available("b") == translator.available("c") == frozenset()
    asked = [Request("a", "file", "zh_TW"), Request("a", "file", "pt"), Request("b", "file", "pt")]
    assert list(translator.translate(asked)) == [
        Translation("檔案", "table"),
        Translation("arquivo", "human"),
        Failure("no-translation"),
    ]


def test_label_written_like_the_language_wins_whatever_the_order():
    rows = [*ROWS, {"query_id": "a", "lang": "pt", "text": "exato"}]
    for order in (rows, rows[::-1]):
        assert list(TableTranslator(table(order), ("pt",)).translate([Request("a", "", "pt")])) == [
            Translation("exato", "table")
        ]


def test_reads_a_file_and_sets_broken_rows_aside(tmp_path):
    path = tmp_path / "translations.jsonl"
    lines = [
        *map(json.dumps, ROWS),
        "{",
        json.dumps({"query_id": "c", "lang": "de"}),
        json.dumps(ROWS[0]),
        json.dumps({**ROWS[0], "query_id": ""}),
    ]
    path.write_text("\n".join(lines))
    usable, refused = read_table(path)
    assert usable.to_pylist() == table(ROWS).to_pylist()
    assert [(row.place, row.reason) for row in refused] == [
        (5, "invalid-json"),
        (6, "no-text"),
        (7, "duplicate-translation"),
        (8, "no-query_id"),
    ]


def test_missing_file_and_field(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "absent.jsonl")
    (tmp_path / "other.jsonl").write_text('{"query_id": "a", "tongue": "de", "text": "x"}\n')
    with pytest.raises(UserError, match=r"no row has the field 'lang'"):
        read_table(tmp_path / "other.jsonl")
