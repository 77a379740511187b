"""The process in which web pages become text; run as a script by `extraction`, it imports nothing heavy of ours.

For each page it reads a line of JSON and that many bytes, and answers with a line of JSON. The operating
system ends it when a page takes too much processor time: a timer with its default action works inside C code,
too, and when the process that asked is gone. It also ends by itself at an error of the extractor, after it
said which; the caller starts another one.
"""

import codecs
import ctypes
import json
import re
import resource
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import trafilatura
from lxml.html import HtmlElement
from trafilatura.utils import decode_file, load_html

# A script finds no package beside it; at the end, so that nothing there hides another package.
sys.path.append(str(Path(__file__).parents[2]))
from conan_data.text import page_parts, page_structure

MEMORY = 4 << 30
"""Bytes that a page may need."""
STALL = 10
"""A page that waits, rather than computes, ends after this many times its time limit."""
_PR_SET_PDEATHSIG = 1
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# What browsers take these names for.
_CHARSETS = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252"}
_CHARSETS |= {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "euc-kr": "cp949",
}


def decode(page: bytes, charset: str) -> str:
    """The text of a page: by its byte order mark, the charset of the server, UTF-8, the charset that the page
    names, or a guess, whichever first fits every byte.
    """
    for mark, name in _MARKS:
        if page.startswith(mark):
            return page.decode(name, errors="replace")
    named = _META_CHARSET.search(page[:4096])
    for name in (charset, "utf-8", named.group(1).decode("ascii", errors="replace") if named else ""):
        try:
            return page.decode(_CHARSETS.get(name.lower(), name)) if name else _refuse()
        except (LookupError, UnicodeError):
            continue
    return decode_file(page)


def extract(page: bytes, request: dict[str, Any]) -> dict[str, Any]:
    """Main text, title, declared language, and how many parts of each kind are in it; no text is an empty one."""
    tree = load_html(decode(page, request["charset"]))
    if tree is None:
        return {"text": "", "title": None, "lang": None, "parts": {}}
    title, lang = _title(tree), tree.get("lang") or tree.get("xml:lang")
    page_structure.simplify(tree)
    parts = page_parts.parts(tree)
    blocks = page_structure.mark_code(tree)
    headings = page_structure.mark(tree)
    text = trafilatura.extract(
        tree,
        url=request["url"],
        include_comments=False,
        favor_precision=request["favour"] == "precision",
        favor_recall=request["favour"] == "recall",
    )

    def restored(*, markdown: bool) -> str:
        return page_structure.restore_code(
            page_structure.restore(text or "", headings, markdown=markdown), blocks
        )

    plain = restored(markdown=False)
    found = {"title": title, "lang": lang, "parts": page_parts.kept(parts, plain)}
    return {"text": restored(markdown=True) if request["headings"] == "markdown" else plain, **found}


def serve() -> None:
    """Says that it is ready, then answers until the input ends."""
    _end_with_parent()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    sys.excepthook = _say_why
    _answer({"text": None})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        page = sys.stdin.buffer.read(request["size"])
        signal.setitimer(signal.ITIMER_PROF, request["time_limit"])
        signal.setitimer(signal.ITIMER_REAL, STALL * request["time_limit"])
        answer = extract(page, request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _answer(answer)


def _end_with_parent() -> None:
    """Asks Linux to end this process with the one that started it, also within a page; elsewhere it ends when it next
    reads. Ctrl-C reaches the whole group of processes, and is for the one that asked.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _refuse() -> str:
    raise LookupError


def _title(tree: HtmlElement) -> str | None:
    found = [*tree.xpath('//meta[@property="og:title"]/@content'), tree.findtext(".//title")]
    return next((" ".join(title.split()) for title in found if title and title.strip()), None)


def _say_why(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    _answer({"failed": f"{kind.__name__}: {error}"[:300]})


def _answer(answer: dict[str, Any]) -> None:
    # ASCII: half a surrogate pair, which a page may name by its number, passes as it is.
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
