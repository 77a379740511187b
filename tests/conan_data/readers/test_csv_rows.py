import csv
import io
from pathlib import Path

import pytest

from conan_data.readers import Broken, Row, Share, read_rows


def split(path: Path, **options: int) -> tuple[list[dict[str, object]], list[tuple[int, str]]]:
    rows = list(read_rows(path, **options))
    return [row.values for row in rows if isinstance(row, Row)], [
        (row.place, row.reason) for row in rows if isinstance(row, Broken)
    ]


def test_rows_with_other_fields_than_the_header(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'\xef\xbb\xbfid,text\na,one\nb\nc,two,three\n\nd,"last\nline"\ne,\xff\nf,end')
    rows, problems = split(path)
    assert rows == [{"id": "a", "text": "one"}, {"id": "d", "text": "last\nline"}, {"id": "f", "text": "end"}]
    assert problems == [(3, "wrong-number-of-fields"), (4, "wrong-number-of-fields"), (8, "invalid-utf8")]


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_what_the_standard_writer_writes_is_read(tmp_path: Path, ending: str) -> None:
    rows = [
        {"id": str(number), "text": text}
        for number, text in enumerate(['a "b"', "c\nd\r\ne", "", ",\t", "雪" * 200_000])
    ]
    out = io.StringIO()
    writer = csv.DictWriter(
        out, ["id", "text"], delimiter="\t" if ending == "tsv" else ",", lineterminator="\r\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    path = tmp_path / f"rows.{ending}"
    path.write_bytes(out.getvalue().encode())
    found, problems = split(path)
    assert problems == []
    assert [row["text"].replace("\r\n", "\n") for row in rows] == [row["text"] for row in found]


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    good = [f'g{number},"text {number}"' for number in range(50)]
    for bad, expected in (('x,"open', "invalid-csv"), ('x,"shut"tail', "invalid-csv")):
        path.write_text("\n".join(["id,text", *good[:20], bad, *good[20:]]))
        rows, problems = split(path)
        assert [row["id"] for row in rows] == [f"g{number}" for number in range(50)]
        assert problems == [(22, expected)]
    path.write_text("\n".join(["id,text", "a,one", 'x,"open', "b,two", "c,three"]))
    assert split(path) == (
        [{"id": "a", "text": "one"}, {"id": "b", "text": "two"}, {"id": "c", "text": "three"}],
        [(3, "invalid-csv")],
    )


def test_records_over_the_limit_are_broken(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,text\na,one\nb," + "x" * 5000 + '\nc,"open ' + "\nlong lines" * 300 + "\nd,two\n")
    rows, problems = split(path, max_line_bytes=1000)
    assert [row["id"] for row in rows] == ["a", "d"]
    assert problems[:2] == [(3, "line-too-long"), (4, "invalid-csv")]
    assert {reason for _, reason in problems[2:]} == {"wrong-number-of-fields"} and len(problems) == 302


def test_a_header_that_cannot_be_read_gives_no_row_a_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"id,te\xff\na,one\n")
    assert split(path)[1][0] == (1, "invalid-utf8")


def test_a_truncated_file_ends_in_one_broken_row(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "rows.csv.gz"
    path.write_bytes(
        gzip.compress(b"id,text\n" + b"".join(b"%d,row %d\n" % (n, n * 7919 % 997) for n in range(9999)))[
            :-500
        ]
    )
    rows, problems = split(path)
    assert problems == [(len(rows) + 2, "truncated-file")] and len(rows) > 9000


def test_shares_are_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,text\n" + "".join(f'{n},"a\nb"\n' if n % 3 else f"{n}\n" for n in range(5000)))
    whole = [(item.place, type(item)) for item in read_rows(path)]
    parts = [[(item.place, type(item)) for item in read_rows(path, Share(index, 3))] for index in range(3)]
    assert sorted((item for part in parts for item in part), key=lambda item: item[0]) == whole and all(parts)
