"""In TSV a quote is a character unless the whole file follows RFC 4180."""

import csv
import io
from pathlib import Path

import pytest

from conan_data.readers import Row, Share, read_rows

HEADER = "anchor\tpositive\tnegative\n"


def rows_of(path: Path, content: str | bytes, **options: object) -> list[list[str]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = list(read_rows(path, **options))
    assert all(isinstance(row, Row) for row in rows), rows
    return [list(row.values.values()) for row in rows]


@pytest.mark.parametrize(
    "lines",
    [
        # A quote that is never closed, one in the middle of a field, text after a closing quote.
        ['"open\tp\tn', "a\tp\tn"],
        ['tv of 55"\tp\tn', "a\tp\tn"],
        ['"The kola nut" is what\tp\tn', "a\tp\tn"],
        ['a ""doubled"" one\tp\tn', "a\tp\tn"],
        # Two rows that an opening and a closing mark would merge, where each is whole by itself.
        ['"unclosed query\tp\tn', 'tv of 55"\tp\tn', "a\tp\tn"],
        ['"one\tp\tn', "two\tp\tn", 'three"\tp\tn', "a\tp\tn"],
        # One offence anywhere decides for the whole file.
        ['"whole field"\tp\tn', "a\tp\tn", 'b\tp"\tn'],
        ['"balanced\tp\tn', 'x"\tp\tn', 'b\tp"\tn'],
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_quote_is_a_character(tmp_path: Path, lines: list[str], end: str) -> None:
    content = HEADER.replace("\n", end) + end.join(lines)
    assert rows_of(tmp_path / "a.tsv", content) == [line.split("\t") for line in lines]


@pytest.mark.parametrize(
    ("rows", "quoting"),
    [
        ([["a\tb", "p", "n"], ["c", "p", "n"]], csv.QUOTE_MINIMAL),
        ([["a\nb", "p", "n"], ["c", "p", "n"]], csv.QUOTE_MINIMAL),
        ([["a", "p", 'say "so"\nand\tmore'], ["c", "p", "n"]], csv.QUOTE_MINIMAL),
        ([["a", "p", "n"], ["", "p", "n"]], csv.QUOTE_ALL),
        ([["a", "p", "n"], ['"', "p", "n"]], csv.QUOTE_ALL),
    ],
)
def test_marks_of_a_file_that_follows_the_rules(tmp_path: Path, rows: list[list[str]], quoting: int) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter="\t", quoting=quoting, lineterminator="\n").writerows(
        [HEADER.rstrip().split("\t"), *rows]
    )
    assert rows_of(tmp_path / "a.tsv", out.getvalue()) == rows


def test_the_decision_is_that_of_the_file_for_every_share(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    lines = [
        f'{number}\t"a" {number}' if number == 4999 else f'{number}\t"{number}"' for number in range(5000)
    ]
    path.write_text("id\ttext\n" + "\n".join(lines))
    parts = [row for index in range(3) for row in read_rows(path, Share(index, 3))]
    texts = {row.values["id"]: row.values["text"] for row in parts if isinstance(row, Row)}
    assert len(texts) == 5000 and texts["7"] == '"7"' and texts["4999"] == '"a" 4999'


def test_a_field_that_is_open_for_too_long_is_not_closed(tmp_path: Path) -> None:
    lines = ['"open\tx', *("more of it" for _ in range(300)), 'end"\tx']
    path = tmp_path / "a.tsv"
    path.write_text("id\ttext\n" + "\n".join(lines))
    assert [row.values["id"] for row in read_rows(path, max_line_bytes=1000) if isinstance(row, Row)] == [
        '"open',
        'end"',
    ]
    whole = [row for row in read_rows(path) if isinstance(row, Row)]
    assert len(whole) == 1 and whole[0].values["id"].startswith("open\tx\nmore of it")


def test_white_space_inside_fields_stays(tmp_path: Path) -> None:
    assert rows_of(tmp_path / "a.tsv", 'id\ttext\na\t" b\x0bc\rd\x85\n') == [["a", '" b\x0bc\rd\x85']]
