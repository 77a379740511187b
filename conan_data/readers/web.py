"""Web pages: WARC and WET files, and HTML files.

A record of a WARC file is a row when it holds a page or a text: responses, resources and (WET) conversions.
What is not HTML, or not a page that was found (status 200), is broken with that reason. A damaged record
costs itself alone (`warc_records`).
"""

import io
from collections.abc import Iterator
from typing import Any

from conan_data.readers.config import ExtractConfig
from conan_data.readers.extraction import Page, extractor, require_packages
from conan_data.readers.rows import Broken, Row, Share, cut
from conan_data.readers.streams import Failure, chunks
from conan_data.readers.warc_records import MAX_HEAD, warc_records

_HTML_TYPES = ("text/html", "application/xhtml+xml")


def html_rows(path: str, name: str, share: Share, config: ExtractConfig) -> Iterator[Row | Broken]:
    """The page of a file as its one row."""
    if share.index == 0:
        content = b""
        for chunk in chunks(path):
            if isinstance(chunk, Failure):
                yield Broken(name, 1, chunk.reason, cut(content))
                return
            content += chunk
            if len(content) > config.max_page_bytes:
                break
        page = extractor(config).extract(content)
        yield _row(page, name, 1, {"id": None, "url": None}, content)


def warc_rows(path: str, name: str, share: Share, config: ExtractConfig) -> Iterator[Row | Broken]:
    """The pages of a share of the records, numbered among those that are rows."""
    require_packages()
    for number, record in enumerate(_records(path, config)):
        if number % share.count != share.index:
            continue
        if isinstance(record, Failure):
            yield Broken(name, number + 1, record.reason, cut(record.message))
        else:
            yield _page_row(record, name, number + 1, config)


def _page_row(record: "_Record", name: str, place: int, config: ExtractConfig) -> Row | Broken:
    details = {"id": record.id, "url": record.url}
    if record.problem:
        return Broken(name, place, record.problem, cut(f"{record.url} {record.detail}"))
    if record.is_text:
        try:
            page = Page(record.content.decode(), lang=record.lang)
        except UnicodeDecodeError:
            return Broken(name, place, "invalid-utf8", cut(record.content))
    else:
        page = extractor(config).extract(record.content, url=record.url, charset=record.charset)
    return _row(page, name, place, details, record.content)


def _row(page: Page, name: str, place: int, details: dict[str, Any], content: bytes) -> Row | Broken:
    if page.reason:
        return Broken(name, place, page.reason, cut(f"{details['url'] or ''} {page.detail}".strip()))
    if not page.text.strip():
        return Broken(name, place, "no-main-text", cut(f"{details['url'] or ''} ") + cut(content[:500]))
    return Row(details | {"text": page.text, "title": page.title, "lang": page.lang}, name, place, page.parts)


class _Record:
    """A record, taken out of the stream."""

    def __init__(self, record: Any, max_bytes: int) -> None:
        headers = record.headers
        self.id = (record.record_id or "").strip("<>") or None
        self.url = headers.get("WARC-Target-URI")
        self.lang = (headers.get("WARC-Identified-Content-Language") or "").split(",")[0] or None
        self.is_text = "conversion" in str(record.record_type)
        http = record.http_headers if record.is_http else None
        self.charset = record.http_charset if http else None
        kind = (record.http_content_type if http else headers.get("Content-Type")) or ""
        kind = kind.split(";")[0].strip().lower()
        status = http.status_code if http else 200
        self.problem, self.detail, self.content = "", "", b""
        if status != 200:
            self.problem, self.detail = "http-status", str(status)
        elif kind and not self.is_text and kind not in _HTML_TYPES:
            self.problem, self.detail = "not-html", kind
        elif record.content_length > max_bytes:
            self.problem, self.detail = "page-too-large", f"{record.content_length} bytes"
        else:
            expected = record.content_length
            self.content = record.reader.read(max_bytes + 1)
            is_encoded = http and (http.get("Content-Encoding") or http.get("Transfer-Encoding"))
            if not is_encoded and len(self.content) < expected:
                self.problem, self.detail = "truncated-record", f"{len(self.content)} of {expected} bytes"


def _records(path: str, config: ExtractConfig) -> Iterator[_Record | Failure]:
    """The records that are pages or texts, and what cannot be read."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    kinds = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion
    for item in warc_records(path, config.max_page_bytes + MAX_HEAD):
        if isinstance(item, Failure):
            yield item
            continue
        try:
            # By itself, so that one whose content cannot be unpacked costs no other.
            for record in ArchiveIterator(
                io.BytesIO(item), record_types=kinds, parse_http=True, auto_decode="all"
            ):
                yield _Record(record, config.max_page_bytes)
        except (OSError, ValueError) as error:
            yield Failure("corrupt-record", str(error))
