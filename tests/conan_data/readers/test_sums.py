"""Whatever a file holds: each row that was put in comes out once, as it was or as broken, in its order."""

import csv
import gzip
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from conan_data.corpus.documents import to_document
from conan_data.readers import Row, Share, read_rows
from conan_data.readers.fields import Fields

TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30)
GOOD = st.builds(
    lambda name, text: {"id": name, "text": f"a {text}"},
    st.one_of(TEXT, st.integers(-(2**63), 2**64 - 1), st.none()),
    TEXT,
).filter(lambda row: len(json.dumps(row)) < 280)  # escaped it may be longer than the reader's limit below
BAD_LINES = st.sampled_from(
    [
        b"{",
        b"]",
        b"[1]",
        b'"\\ud800"',
        b"\xff\xfe",
        b'{"text": NaN}',
        b'{"text": "\xc3"}',
        b"null",
        b"x" * 300,
        b'{"id": 1, "text": "\x00"}',
    ]
)
BAD_VALUES = st.sampled_from(
    [
        ({"id": "x"}, "no-text"),
        ({"text": None}, "no-text"),
        ({"text": ["a"]}, "text-is-no-string"),
        ({"text": 3}, "text-is-no-string"),
        ({"id": [], "text": "a"}, "id-is-no-string"),
        ({"text": " \n "}, "empty-text"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.one_of(GOOD, BAD_LINES, BAD_VALUES), max_size=40),
    pack=st.sampled_from([("", bytes), (".gz", gzip.compress), (".zst", zstandard.compress)]),
    end=st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    cut=st.tuples(st.integers(1, 4), st.integers(1, 200)),
)
def test_json_lines(
    rows: list[Any], pack: tuple[str, Any], end: bytes, mark: bytes, cut: tuple[int, int]
) -> None:
    lines = [
        row if isinstance(row, bytes) else json.dumps(row[0] if isinstance(row, tuple) else row).encode()
        for row in rows
    ]
    count, block = cut
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"rows.jsonl{pack[0]}"
        path.write_bytes(pack[1](mark + end.join(lines)))
        shares = [Share(index, count, block) for index in range(count)]
        items = [item for share in shares for item in read_rows(path, share, max_line_bytes=290)]
    documents = sorted(
        (to_document(item, Fields()) for item in items), key=lambda document: document.metadata["place"]
    )
    assert len(documents) == len(rows)
    for row, document in zip(rows, documents, strict=True):
        dropped = document.metadata.get("dropped")
        if isinstance(row, dict):
            assert dropped is None and document.text.startswith("a")
            assert (
                document.id == str(row["id"]) or row["id"] in (None, "") or not str(row["id"]).isprintable()
            )
        elif isinstance(row, tuple):
            assert dropped.reason == f"broken-{row[1]}"
        else:
            assert dropped.stage == "read"
    step = 2 if end == b"\n\n" else 1
    assert [document.metadata["place"] for document in documents] == [
        1 + step * number for number in range(len(rows))
    ]


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=20)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.one_of(st.tuples(FIELD, FIELD), st.sampled_from(["open", "many", "few", "bytes"])), max_size=30
    )
)
def test_csv(rows: list[Any]) -> None:
    bad = {"open": b'x,"shut"tail', "many": b"x,y,z", "few": b"x", "bytes": b"x,\xff"}
    content = b"id,text\n"
    for row in rows:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(
            row if isinstance(row, tuple) else []
        )
        content += bad[row] + b"\n" if isinstance(row, str) else out.getvalue().encode()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_bytes(content)
        items = list(read_rows(path))
    assert len(items) == len(rows)
    for row, item in zip(rows, items, strict=True):
        assert (tuple(item.values.values()) == row) if isinstance(item, Row) else isinstance(row, str)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.one_of(TEXT.map(str.encode), st.sampled_from([b"\xff", None])), max_size=40),
    row_group_size=st.integers(1, 50),
    count=st.integers(1, 4),
)
def test_parquet(rows: list[bytes | None], row_group_size: int, count: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(pa.table({"text": pa.array(rows, pa.binary())}), path, row_group_size=row_group_size)
        items = [item for index in range(count) for item in read_rows(path, Share(index, count))]
    documents = sorted(
        (to_document(item, Fields()) for item in items), key=lambda found: found.metadata["place"]
    )
    assert len(documents) == len(rows)
    for row, document in zip(rows, documents, strict=True):
        reason = document.metadata["dropped"].reason if "dropped" in document.metadata else ""
        expected = {b"\xff": "broken-invalid-utf8", None: "broken-no-text"}.get(row)
        assert reason == expected if expected else reason in ("", "broken-empty-text")
