import bz2
import gzip
import json
import lzma
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard

from conan_data.readers import Broken, Row, Share, read_rows

PACK = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
BAD = {
    b'{"id": "x", "text": "cut': "invalid-json",
    b'{"id": "x", "text": "\xff\xfe"}': "invalid-utf8",
    b'["a", "list"]': "not-an-object",
    b'"text"': "not-an-object",
    b"7": "not-an-object",
    b'{"id": "x", "score": NaN}': "invalid-json",
    b'{"id": "x", "score": Infinity}': "invalid-json",
    b'{"id": "x", "text": "\\ud800"}': "invalid-json",
    b'{"id": "x", "text": "\xed\xa0\x80"}': "invalid-utf8",
    b"[" * 5000: "invalid-json",
    b"\x00\x00\x00": "invalid-json",
}


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def many(number: int) -> list[dict[str, Any]]:
    return [{"id": str(place), "text": f"row {place * 7919 % 10007} äé雪"} for place in range(number)]


def split(path: Path, **options: Any) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    rows = list(read_rows(path, **options))
    return [row.values for row in rows if isinstance(row, Row)], [
        (row.place, row.reason) for row in rows if isinstance(row, Broken)
    ]


def test_a_broken_line_costs_that_line_alone_and_says_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = many(3)
    path.write_bytes(
        b"\xef\xbb\xbf" + lines(good[:1]) + b"\n".join(BAD) + b"\n \r\n" + lines(good[1:]).rstrip()
    )
    rows, problems = split(path)
    assert rows == good
    assert problems == [(place, reason) for place, reason in enumerate(BAD.values(), start=2)]
    assert [row.place for row in read_rows(path) if isinstance(row, Row)] == [1, len(BAD) + 3, len(BAD) + 4]


@pytest.mark.parametrize("ending", PACK)
def test_an_empty_file_has_no_rows(tmp_path: Path, ending: str) -> None:
    for content in (b"", PACK[ending](b""), PACK[ending](b"\n\n")):
        path = tmp_path / f"rows.jsonl{ending}"
        path.write_bytes(content)
        assert split(path) == ([], [])


@pytest.mark.parametrize("ending", [".gz", ".zst", ".bz2", ".xz"])
def test_a_stream_that_breaks_off_is_one_broken_row_after_all_that_can_be_read(
    tmp_path: Path, ending: str
) -> None:
    rows = many(60_000)
    packed = PACK[ending](lines(rows))
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    found, problems = split(path)
    assert found == rows[: len(found)]
    assert problems == [(len(found) + 1, "truncated-file")]
    whole = len(lines(rows))
    # xz and bz2 have blocks of up to several MB, of which nothing comes out before their end.
    assert len(lines(found)) > whole * 2 / 3 - (1 << 18 if ending in (".gz", ".zst") else 1 << 21)


@pytest.mark.parametrize("ending", [".gz", ".zst", ".bz2", ".xz"])
def test_damage_in_the_middle_costs_the_rest_of_the_stream_once(tmp_path: Path, ending: str) -> None:
    rows = many(60_000)
    packed = bytearray(
        zstandard.ZstdCompressor(write_checksum=True).compress(lines(rows))
        if ending == ".zst"
        else PACK[ending](lines(rows))
    )
    middle = len(packed) // 2
    packed[middle : middle + 40] = bytes(255 - byte for byte in packed[middle : middle + 40])
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(packed)
    items = list(read_rows(path))
    last = items[-1]
    assert isinstance(last, Broken) and last.reason in ("corrupt-file", "truncated-file")
    assert (
        sum(isinstance(item, Broken) and item.reason in ("corrupt-file", "truncated-file") for item in items)
        == 1
    )
    assert [item.place for item in items] == list(range(1, len(items) + 1))
    known = {row["text"] for row in rows[: len(items) // 2]}
    assert all(item.values["text"] in known for item in items[: len(items) // 2] if isinstance(item, Row))


def test_a_file_that_is_not_what_its_ending_says(tmp_path: Path) -> None:
    for ending in (".gz", ".zst", ".bz2", ".xz"):
        path = tmp_path / f"rows.jsonl{ending}"
        path.write_bytes(lines(many(3)))
        assert split(path) == ([], [(1, "corrupt-file")])


def test_two_zstd_frames_in_a_file_are_both_read(tmp_path: Path) -> None:
    rows = many(3)
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(zstandard.compress(lines(rows[:2])) + zstandard.compress(lines(rows[2:])))
    assert split(path) == (rows, [])


def test_lines_over_the_limit_are_broken_and_those_up_to_it_are_not(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"text": "x" * size} for size in (10, 3_000_000, 89, 90, 500)]
    path.write_bytes(lines(rows).rstrip())
    assert split(path, max_line_bytes=101) == (
        [rows[0], rows[2]],
        [(place, "line-too-long") for place in (2, 4, 5)],
    )
    assert split(path, max_line_bytes=4_000_000) == (rows, [])
    refused = [row for row in read_rows(path, max_line_bytes=101) if isinstance(row, Broken)]
    assert refused[0].raw == '{"text": "' + "x" * 990


@pytest.mark.parametrize("ending", ["", ".zst", ".gz"])
def test_a_line_of_200_mb_takes_linear_time_and_little_memory(tmp_path: Path, ending: str) -> None:
    size = 200_000_000
    path = tmp_path / f"rows.jsonl{ending}"
    opener = {"": open, ".gz": gzip.open, ".zst": zstandard.open}[ending]
    with opener(path, "wb") as file:
        file.write(lines(many(1)) + b'{"text": "')
        for _ in range(size // 1_000_000):
            file.write(b"a" * 1_000_000)
        file.write(b'"}\n' + lines(many(1)))
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert split(path) == (many(1) * 2, [(2, "line-too-long")])
    assert time.process_time() - started < 8
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 350_000


@pytest.mark.parametrize("ending", ["", ".zst"])
@pytest.mark.parametrize("block", [1, 7, 64, 1000, 1 << 20])
def test_shares_are_the_whole_file_each_row_once(tmp_path: Path, ending: str, block: int) -> None:
    path = tmp_path / f"rows.jsonl{ending}"
    content = lines(many(40)) + b"\n".join(BAD) + b"\n\n" + b"y" * 3000 + b"\r\n" + lines(many(60))
    packed = PACK[ending](b"\xef\xbb\xbf" + content)
    for whole in (packed, packed[:-5], packed.rstrip(b"\n") if not ending else packed):
        path.write_bytes(whole)
        expected = [key(item) for item in read_rows(path, max_line_bytes=2000)]
        for count in (2, 3, 5):
            parts = [
                [key(item) for item in read_rows(path, Share(index, count, block), max_line_bytes=2000)]
                for index in range(count)
            ]
            assert sorted(item for part in parts for item in part) == expected
            assert all(part == sorted(part) for part in parts)
        if block <= 64 and len(expected) > 100:
            assert all(parts)


def key(item: Row | Broken) -> tuple[int, str]:
    return item.place, json.dumps(item.values) if isinstance(item, Row) else f"{item.reason} {item.raw}"


LIMITED = """
import re, resource, sys
from pathlib import Path
from conan_data.readers import read_rows
list(read_rows(sys.argv[1]))
data = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (data + int(sys.argv[3]),) * 2)
try:
    print([type(row).__name__ for row in read_rows(sys.argv[2])])
except MemoryError:
    print("MemoryError")
"""


@pytest.mark.parametrize(
    ("room", "said"), [(n, "MemoryError") for n in (25, 45, 100, 200)] + [(400, "['Row']")]
)
def test_a_line_is_not_broken_for_want_of_memory(tmp_path: Path, room: int, said: str) -> None:
    """The parser says so of a good line, or ends the process; `room` in MB for a line of 20."""
    (tmp_path / "short.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "long.jsonl").write_bytes(b'{"text": "' + b"x" * 20_000_000 + b'"}\n')
    arguments = [str(tmp_path / "short.jsonl"), str(tmp_path / "long.jsonl"), str(room * 10**6)]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, said), done.stderr
