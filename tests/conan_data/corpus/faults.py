"""A folder of files with everything wrong in them that crawls and exports bring along, and the list of it."""

import gzip
import json
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tests.conan_data.readers.test_web import html, record

MAX_LINE_BYTES = 20_000
WORDS = "the cat and dog were walking through an old garden while children played near their house with many small toys every day"
PROGRAM = "from conan_data.cli import run; run()"


def text(rng: random.Random) -> str:
    return " ".join(" ".join(rng.choices(WORDS.split(), k=16)).capitalize() + "." for _ in range(6))


def command(out: Path, *flags: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "build-corpus", "--out", str(out), "--languages", "en", *flags]


def run(out: Path, *flags: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(out, *flags), capture_output=True, text=True, check=False, **options)


def write_faults(folder: Path) -> tuple[int, dict[str, list[tuple[int, str]]]]:
    """Writes the files; returns how many rows they hold, and by file the place and reason of each broken one."""
    folder.mkdir()
    rng = random.Random(3)

    def row(identifier: object) -> bytes:
        return json.dumps({"id": identifier, "text": text(rng), "lang": "en"}).encode()

    def rows(name: str, num: int) -> bytes:
        return b"".join(row(f"{name}{number}") + b"\n" for number in range(num))

    def said(value: object, **more: object) -> bytes:
        return json.dumps({"id": "x", "text": value, "lang": "en"} | more).encode()

    bad = [
        (b'{"id": "a", "text": "broken', "invalid-json"),
        (b'{"id": "a", "text": NaN}', "invalid-json"),
        (row("a").replace(b"garden", b"gard\xff"), "invalid-utf8"),
        (b'{"id": "a", "text": "half \\ud800 of a sign"}', "invalid-json"),
        (b'["a", "list"]', "not-an-object"),
        (b"12", "not-an-object"),
        (said(["a", "list"]), "text-is-no-string"),
        (said(7), "text-is-no-string"),
        (said(True), "text-is-no-string"),
        (said(None), "no-text"),
        (b'{"id": "b"}', "no-text"),
        (said(" \u200b\t"), "empty-text"),
        (said(text(rng), id=["a"]), "id-is-no-string"),
        (said("word " * MAX_LINE_BYTES), "line-too-long"),
    ]
    # A byte order mark, blank lines, other line ends, no id, twice the same id: all of it can be read.
    lines = [b"\xef\xbb\xbf" + row("good"), b"", row(None), row("twice") + b"\r", row("twice")]
    first = len(lines) + 1
    truth: dict[str, list[tuple[int, str]]] = {}
    for line, _ in bad:
        lines += [line, row(len(lines))]
    truth["rows.jsonl"] = [(first + 2 * number, reason) for number, (_, reason) in enumerate(bad)]
    (folder / "rows.jsonl").write_bytes(b"\n".join(lines))
    num_rows = len(lines) - 1

    (folder / "whole.jsonl.gz").write_bytes(gzip.compress(rows("whole", 30)))
    num_rows += 30
    packed = {
        "cut.jsonl.gz": gzip.compress(rows("gz", 200), mtime=0),
        "cut.jsonl.zst": zstandard.ZstdCompressor().compress(rows("zst", 1000)),
    }
    unpackers = (zlib.decompressobj(zlib.MAX_WBITS | 16), zstandard.ZstdDecompressor().decompressobj())
    for (name, whole), unpacker in zip(packed.items(), unpackers, strict=True):
        half = whole[: len(whole) // 2]
        (folder / name).write_bytes(half)
        last = 1 + unpacker.decompress(half).count(b"\n")
        assert last > 50
        truth[name] = [(last, "truncated-file")]
        num_rows += last
    (folder / "nothing.jsonl").touch()
    (folder / "nothing.jsonl.gz").touch()
    (folder / "blank.jsonl").write_text("\n\n\n")
    for stray in ("README.md", "_SUCCESS", ".rows.jsonl.crc", "model.bin"):
        (folder / stray).write_bytes(b"\x00 not for you")

    (folder / "table.csv").write_text(
        f'id,text,lang\nc1,{text(rng)},en\nc2,{text(rng)}\nc3,"never closed,en\nc4,{text(rng)},en\n'
    )
    truth["table.csv"] = [(3, "wrong-number-of-fields"), (4, "invalid-csv")]
    num_rows += 4

    pq.write_table(pa.table({"id": ["p1", "p2"], "text": [text(rng), None]}), folder / "table.parquet")
    truth["table.parquet"] = [(2, "no-text")]
    (folder / "cut.parquet").write_bytes((folder / "table.parquet").read_bytes()[:200])
    truth["cut.parquet"] = [(1, "unreadable-parquet")]
    num_rows += 3

    (folder / "empty.html").touch()
    (folder / "picture.html").write_bytes(bytes(range(256)) * 20)
    truth["empty.html"], truth["picture.html"] = [(1, "no-main-text")], [(1, "no-main-text")]
    pages = b"".join(
        gzip.compress(item)
        for item in (
            record(1, html(text(rng))),
            record(2, status="404 Not Found"),
            record(3, html(text(rng))),
        )
    )
    (folder / "crawl.warc.gz").write_bytes(pages[:-200])
    truth["crawl.warc.gz"] = [(2, "http-status"), (3, "truncated-record")]
    return num_rows + 5, truth
