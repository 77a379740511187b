"""Damage in the middle of a file costs what it lies in, and nothing after it."""

import bz2
import gzip
import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from conan_data.readers import Broken, ExtractConfig, Row, Share, read_rows
from conan_data.readers.streams import HELD, Failure, chunks
from conan_data.readers.warc_records import warc_records
from tests.conan_data.readers.test_web import html, record

NUM_RECORDS = 12
Pack = Callable[[bytes], bytes]
checked = zstandard.ZstdCompressor(write_checksum=True).compress
PACKS: dict[str, Pack] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": checked,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def page(number: int) -> bytes:
    rng = random.Random(number)
    words = " ".join(
        rng.choice(["harbour", "letter", "sailor", "family", "mill", "winter"]) for _ in range(120)
    )
    return record(number, html(f"{words}. {rng.randbytes(300).hex()}"))


def with_length(data: bytes, change: int) -> bytes:
    head, mark, rest = data.partition(b"Content-Length: ")
    old, end, block = rest.partition(b"\r\n")
    return head + mark + str(int(old) + change).encode() + end + block


def named_gzip(number: int) -> bytes:
    """A record that says that its page is packed, which it is not."""
    return record(number, html(), extra="Content-Encoding: gzip\r\n")


DAMAGE: dict[str, Callable[[bytes, int, Pack], bytes]] = {
    "content-encoding": lambda data, number, pack: pack(named_gzip(number)),
    "chunks": lambda data, number, pack: pack(record(number, html(), extra="Transfer-Encoding: chunked\r\n")),
    "unknown-encoding": lambda data, number, pack: pack(
        record(number, html(), extra="Content-Encoding: x-foo\r\n")
    ),
    "length-too-long": lambda data, number, pack: pack(with_length(data, 700)),
    "length-far-too-long": lambda data, number, pack: pack(with_length(data, 10**9)),
    "length-too-short": lambda data, number, pack: pack(with_length(data, -200)),
    "no-length": lambda data, number, pack: pack(data.replace(b"Content-Length", b"Content-Langth")),
    "bad-length": lambda data, number, pack: pack(data.replace(b"Content-Length: ", b"Content-Length: -")),
    "cut": lambda data, number, pack: pack(data)[:-300],
    "cut-and-packed": lambda data, number, pack: pack(data[:-300]),
    "http": lambda data, number, pack: pack(data.replace(b"HTTP/1.1 200 OK", b"\xff\xfe\x00 nothing")),
}
PACKED_DAMAGE: dict[str, Callable[[bytes, int, Pack], bytes]] = {
    "member": lambda data, number, pack: flipped(pack(data), 0.5),
    "member-head": lambda data, number, pack: b"\0\0\0\0" + pack(data)[4:],
    "member-check": lambda data, number, pack: flipped(pack(data), 1.0),
}


def flipped(data: bytes, where: float) -> bytes:
    """`data` with a few bytes turned over."""
    start = min(int(len(data) * where), len(data) - 5)
    return data[:start] + bytes(255 - byte for byte in data[start : start + 5]) + data[start + 5 :]


@pytest.mark.parametrize(
    "bads", [(0,), (NUM_RECORDS - 1,), (4, 8), (4, 5), (0, NUM_RECORDS - 1), (1, 2, 3, 9)]
)
@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("damage", [*DAMAGE, *PACKED_DAMAGE])
def test_each_damaged_record_is_counted_and_all_others_are_read(
    tmp_path: Path, damage: str, ending: str, bads: tuple[int, ...]
) -> None:
    if not ending and damage in PACKED_DAMAGE:
        pytest.skip("a plain file has no members")
    if damage == "member-head" and bads != (4, 8):
        pytest.skip(
            "members without a beginning that follow each other, or begin a file, are one stretch of bytes"
        )
    spoil, pack = (DAMAGE | PACKED_DAMAGE)[damage], PACKS[ending]
    members = [
        spoil(page(number), number, pack) if number in bads else pack(page(number))
        for number in range(NUM_RECORDS)
    ]
    path = tmp_path / f"crawl.warc{ending}"
    path.write_bytes(b"".join(members))
    items = list(read_rows(path))
    assert [item.place for item in items] == list(range(1, NUM_RECORDS + 1))
    found = [item.values["id"] if isinstance(item, Row) else "" for item in items]
    assert found == ["" if number in bads else f"urn:uuid:{number}" for number in range(NUM_RECORDS)]
    reasons = {item.reason for item in items if isinstance(item, Broken)}
    assert reasons <= {"corrupt-record", "truncated-record", "http-status"}
    shares = [item for index in range(3) for item in read_rows(path, Share(index, 3))]
    assert sorted(shares, key=lambda item: item.place) == items


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_a_damaged_record_without_pages_and_garbage(tmp_path: Path, ending: str) -> None:
    pack = PACKS[ending]
    request = record(1, b"GET / HTTP/1.1\r\n\r\n", kind="request")
    members = [
        pack(page(0)),
        pack(with_length(request, 100)),
        pack(page(1)),
        b"\0garbage\r\n" * 9,
        pack(page(2)),
        pack(request),
        pack(page(3)),
        b"\r\n\r\n" if not ending else b"",
    ]
    (tmp_path / f"a.warc{ending}").write_bytes(b"".join(members))
    items = list(read_rows(tmp_path / f"a.warc{ending}"))
    assert [item.values["id"] if isinstance(item, Row) else item.reason for item in items] == [
        "urn:uuid:0",
        "corrupt-record",
        "urn:uuid:1",
        "corrupt-record",
        "urn:uuid:2",
        "urn:uuid:3",
    ]


def test_records_in_one_member_are_read_up_to_the_damage(tmp_path: Path) -> None:
    members = [page(number) for number in range(3500)]
    # Blocks of bzip2 have check sums of their own.
    packed = flipped(bz2.compress(b"".join(members)), 0.7)
    (tmp_path / "a.warc.bz2").write_bytes(packed)
    *items, last = warc_records(str(tmp_path / "a.warc.bz2"), 1 << 20)
    assert isinstance(last, Failure) and len(items) > 400
    assert items == [member.removesuffix(b"\r\n\r\n") for member in members[: len(items)]]


def test_a_record_that_is_not_held_and_lies_about_its_length(tmp_path: Path) -> None:
    big = record(1, html("x" * 3_000_000))
    for change, reason in ((0, "page-too-large"), (10**9, "corrupt-record")):
        (tmp_path / "a.warc").write_bytes(page(0) + with_length(big, change) + page(2) + page(3))
        items = list(read_rows(tmp_path / "a.warc", extract=ExtractConfig(max_page_bytes=100_000)))
        assert [item.values["id"] if isinstance(item, Row) else item.reason for item in items] == [
            "urn:uuid:0",
            reason,
            "urn:uuid:2",
            "urn:uuid:3",
        ]


def lines(first: int, last: int) -> bytes:
    rng = random.Random(first)
    rows = (
        {"id": number, "text": f"row {number} {rng.randbytes(40).hex()}"} for number in range(first, last)
    )
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("ending", [".gz", ".zst", ".bz2", ".xz"])
@pytest.mark.parametrize("damage", ["middle", "head", "cut", "garbage"])
def test_lines_after_a_damaged_member_are_read(tmp_path: Path, ending: str, damage: str) -> None:
    members = [PACKS[ending](lines(100 * number, 100 * number + 100)) for number in range(5)]
    if damage == "garbage":
        members.insert(2, b"garbage" * 30)
    else:
        members[2] = {
            "middle": flipped(members[2], 0.5),
            "head": b"\0" * 8 + members[2][8:],
            "cut": members[2][:-50],
        }[damage]
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(b"".join(members))
    items = list(read_rows(path))
    found = [item.values["id"] for item in items if isinstance(item, Row)]
    lost = set() if damage == "garbage" else set(range(200, 300))
    assert found == [number for number in range(500) if number not in lost]
    assert [item.reason for item in items if isinstance(item, Broken)][:1] in (
        ["corrupt-file"],
        ["truncated-file"],
    )
    assert [item.place for item in items] == list(range(1, len(items) + 1))
    for count, block in ((2, 1 << 20), (3, 1000)):
        shares = [item for index in range(count) for item in read_rows(path, Share(index, count, block))]
        assert sorted(shares, key=lambda item: item.place) == items


@pytest.mark.parametrize("ending", [".gz", ".zst", ".bz2"])
def test_what_a_large_member_holds_well_before_the_damage_is_read(tmp_path: Path, ending: str) -> None:
    data = lines(0, 60_000)
    (tmp_path / f"a{ending}").write_bytes(flipped(PACKS[ending](data), 0.7))
    items = list(chunks(str(tmp_path / f"a{ending}")))
    assert isinstance(items[-1], Failure) and "bytes before it are left out, and what" in items[-1].message
    found = b"".join(item for item in items if isinstance(item, bytes))
    # bzip2 gives its blocks of 900,000 bytes whole.
    sure = int(0.65 * len(data)) - HELD - 1_800_000
    assert sure > 1_000_000 and found[:sure] == data[:sure]


def test_a_row_that_lost_its_beginning_is_not_taken_for_a_row_of_csv(tmp_path: Path) -> None:
    rows = b"".join(b"%d,name %d\n" % (number, number) for number in range(10_000, 10_400))
    parts = [b"number,name\n" + rows[:3000], rows[3000:6002], rows[6002:]]
    members = [gzip.compress(part) for part in parts]
    assert b"\n" not in (rows[2999:3000], rows[6001:6002])
    whole = [tuple(line.decode().split(",")) for line in rows.splitlines()]
    first, last = rows[:3000].splitlines()[:-1], rows[6002:].splitlines()[1:]
    (tmp_path / "a.csv.gz").write_bytes(members[0] + flipped(members[1], 0.5) + members[2])
    items = list(read_rows(tmp_path / "a.csv.gz"))
    found = [tuple(item.values.values()) for item in items if isinstance(item, Row)]
    assert found == whole[: len(first)] + whole[-len(last) :]
    problems = [item.reason for item in items if isinstance(item, Broken)]
    assert problems == ["corrupt-file", "after-damage"]
    assert [item.place for item in items] == list(range(2, len(items) + 2))
    # Without the header nobody knows which field is which.
    (tmp_path / "b.csv.gz").write_bytes(flipped(members[0], 0.5) + members[2])
    items = list(read_rows(tmp_path / "b.csv.gz"))
    reasons = [item.reason for item in items if isinstance(item, Broken)]
    assert reasons == ["corrupt-file", "after-damage", *["header-lost"] * len(last)] and len(items) == len(
        reasons
    )
