import gzip
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from conan_data.errors import UserError
from conan_data.readers import Broken, ExtractConfig, Row, Share, extraction, read_rows
from conan_data.readers.extraction import Extractor

WORDS = "The old mill by the river was built long ago, and people of the village bring their grain to it every autumn. "


def html(body: str = WORDS * 5, *, head: str = "", lang: str = ' lang="en-GB"') -> bytes:
    menu = "<nav><ul><li><a href='/'>Home</a></li><li><a href='/shop'>Shop</a></li></ul></nav>"
    return f"<!doctype html><html{lang}><head><title>The  mill</title>{head}</head><body>{menu}<article><h1>Mill</h1><p>{body}</p></article><footer>Cookies</footer></body></html>".encode()


def record(
    number: int,
    page: bytes | None = None,
    *,
    kind: str = "response",
    status: str = "200 OK",
    content: str = "text/html; charset=utf-8",
    extra: str = "",
) -> bytes:
    page = html() if page is None else page
    if kind == "conversion":
        block, content_type = page, "text/plain"
    else:
        block = f"HTTP/1.1 {status}\r\nContent-Type: {content}\r\n{extra}\r\n".encode() + page
        content_type = "application/http; msgtype=response"
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"WARC-Target-URI: https://example.org/{number}\r\nContent-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def read(path: Path, **options: Any) -> list[tuple[int, str]]:
    """Place, and id or reason, of each row."""
    items = read_rows(path, **options)
    return [(item.place, item.values["id"] if isinstance(item, Row) else item.reason) for item in items]


@pytest.mark.parametrize("ending", ["warc", "warc.gz"])
def test_pages_of_an_archive(tmp_path: Path, ending: str) -> None:
    records = [
        record(0, b"software: x", kind="warcinfo"),
        record(1),
        record(1, kind="request"),
        record(2, status="404 Not Found"),
        record(3, b"%PDF", content="application/pdf"),
        record(4, gzip.compress(html()), extra="Content-Encoding: gzip\r\n"),
        record(5, b"<html><body></body></html>"),
        record(6, html("x" * 5000)),
        record(7, ("Wörter " * 9).encode(), kind="conversion"),
        record(8, b"caf\xe9", kind="conversion"),
    ]
    path = tmp_path / f"crawl.{ending}"
    path.write_bytes(b"".join(gzip.compress(item) if ending.endswith("gz") else item for item in records))
    items = list(read_rows(path, extract=ExtractConfig(max_page_bytes=3000)))
    assert [item.reason if isinstance(item, Broken) else item.values["id"] for item in items] == [
        "urn:uuid:1",
        "http-status",
        "not-html",
        "urn:uuid:4",
        "no-main-text",
        "page-too-large",
        "urn:uuid:7",
        "invalid-utf8",
    ]
    assert [item.place for item in items] == [1, 2, 3, 4, 5, 6, 7, 8]
    first, last = items[0], items[-2]
    assert isinstance(first, Row) and isinstance(last, Row)
    assert first.values | {"text": ""} == {
        "id": "urn:uuid:1",
        "url": "https://example.org/1",
        "title": "The mill",
        "lang": "en-GB",
        "text": "",
    }
    assert WORDS.strip() in first.values["text"]
    assert not any(word in first.values["text"] for word in ("Home", "Shop", "Cookies", "<"))
    assert last.values["text"].startswith("Wörter Wörter")


@pytest.mark.parametrize("ending", ["warc", "warc.gz"])
@pytest.mark.parametrize("damage", ["middle", "head", "garbage", "truncated"])
def test_a_damaged_record_costs_itself_alone(tmp_path: Path, ending: str, damage: str) -> None:
    pack = gzip.compress if ending.endswith("gz") else bytes
    members = [pack(record(number, html(os.urandom(400).hex()))) for number in range(6)]
    expected = [(number + 1, f"urn:uuid:{number}") for number in range(6)]
    if damage == "truncated":
        members[5] = members[5][:-300]
        expected[5] = (6, "truncated-record")
    elif damage == "garbage":
        members.insert(3, b"\0garbage\r\n" * 50)
        expected = [
            *expected[:3],
            (4, "corrupt-record"),
            *((place + 1, name) for place, name in expected[3:]),
        ]
    else:
        start = 200 if damage == "middle" else 0
        spoiled = bytearray(members[3])
        spoiled[start : start + 40] = bytes(255 - byte for byte in spoiled[start : start + 40])
        members[3] = bytes(spoiled)
        expected[3] = (4, "corrupt-record")
    path = tmp_path / f"crawl.{ending}"
    path.write_bytes(b"".join(members))
    if (ending, damage) == ("warc", "middle"):
        # Without a checksum nobody notices; the record is read as it is.
        assert [name for _, name in read(path)][:3] == ["urn:uuid:0", "urn:uuid:1", "urn:uuid:2"]
        assert [name for _, name in read(path)][-2:] == ["urn:uuid:4", "urn:uuid:5"]
    else:
        assert read(path) == expected


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(b"hello\n" * 100)
    (tmp_path / "b.warc.gz").write_bytes(b"")
    assert read(tmp_path / "a.warc") == [(1, "corrupt-record")] and read(tmp_path / "b.warc.gz") == []


def test_shares_are_the_whole_archive(tmp_path: Path) -> None:
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(b"".join(gzip.compress(record(number)) for number in range(7)))
    parts = [read(path, share=Share(index, 3)) for index in range(3)]
    assert sorted(item for part in parts for item in part) == read(path) and all(parts)


@pytest.mark.parametrize(
    ("charset", "head", "declared"),
    [
        ("utf-8", "", None),
        ("utf-8-sig", "", "latin-1"),
        ("cp1252", "", "iso-8859-1"),
        ("cp1252", '<meta charset="windows-1252">', None),
        ("shift_jis", '<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS">', None),
        ("gb18030", "<meta charset=gb2312>", None),
        ("euc-kr", "", "EUC-KR"),
        ("utf-16", "", None),
        ("utf-8", "", "no-such-charset"),
    ],
)
def test_charsets(charset: str, head: str, declared: str | None) -> None:
    sample = {
        "shift_jis": "東京の天気は晴れです。",
        "gb18030": "今天天气很好。",
        "euc-kr": "오늘 날씨가 좋습니다.",
    }.get(charset, "Größe und Übermut – “quoted”.")
    page = html((sample + " ") * 20, head=head).decode().encode(charset)
    extractor = Extractor(ExtractConfig())
    try:
        assert sample in extractor.extract(page, charset=declared).text
    finally:
        extractor.close()


def test_a_folder_of_pages(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(html())
    (tmp_path / "b.htm").write_bytes(b"")
    (tmp_path / "c.html.gz").write_bytes(gzip.compress(html())[:-30])
    assert read(tmp_path / "a.html") == [(1, None)]
    assert read(tmp_path / "b.htm") == [(1, "no-main-text")]
    assert read(tmp_path / "c.html.gz") == [(1, "truncated-file")]
    assert read(tmp_path / "a.html", share=Share(1, 2)) == []


@pytest.fixture
def extractor() -> Any:
    made = Extractor(ExtractConfig(time_limit=0.5, max_page_bytes=30_000_000))
    made.extract(html())
    yield made
    made.close()


def test_a_page_that_takes_too_long_is_given_up_and_the_next_is_read(extractor: Extractor) -> None:
    started = time.monotonic()
    slow = extractor.extract(
        b"<html><body>" + b"<p>hello world this is text, and a <b>bit</b> more.</p>" * 300_000
    )
    assert slow.reason == "extraction-timeout" and time.monotonic() - started < 30
    assert WORDS.strip() in extractor.extract(html()).text


def test_a_page_that_waits_is_given_up_too(extractor: Extractor) -> None:
    child = extractor._child
    assert child is not None
    os.kill(child.pid, signal.SIGALRM)
    assert extractor.extract(html()).reason == "extraction-timeout"
    assert extractor.extract(html()).reason == ""


def test_a_crash_is_the_reason_of_its_page(extractor: Extractor) -> None:
    child = extractor._child
    assert child is not None
    os.kill(child.pid, signal.SIGSEGV)
    assert extractor.extract(html()).reason == "extraction-failed"
    assert extractor.extract(html()).reason == ""


def test_an_error_of_the_extractor_is_named(extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    # A url that is a list makes the extractor raise, as bugs in it do.
    failed = extractor.extract(html(), url=["no", "url"])  # type: ignore[arg-type]
    assert failed.reason == "extraction-failed" and "Error: " in failed.detail
    assert extractor.extract(html()).reason == ""


def test_nested_and_odd_pages_never_raise(extractor: Extractor) -> None:
    for page in (
        b"<div>" * 100_000,
        b"\0" * 1000,
        os.urandom(5000),
        b"<html" * 1000,
        b"&#xD800;" * 50,
        b"<p>&#55357;</p>" * 50,
    ):
        found = extractor.extract(page)
        assert found.reason in ("", "extraction-timeout", "extraction-failed")
        found.text.encode()


def test_a_missing_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.warc").write_bytes(record(1))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"need the package trafilatura: pip install 'conan-embed\[web\]'"):
        read(tmp_path / "a.warc")


def test_an_extractor_that_does_not_start_is_not_the_fault_of_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "child.py").write_text("import no_such_module")
    monkeypatch.setattr(extraction, "_CHILD", tmp_path / "child.py")
    with pytest.raises(UserError, match="the extractor does not start"):
        Extractor(ExtractConfig()).extract(html())
