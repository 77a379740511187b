import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from conan_data.corpus.safety.domains import BlockList, compile_list, split_address
from conan_data.errors import UserError

LIST = """# sites we do not want
bad.example
Sub.Worse.Example  # only this host
https://www.shop.example/offers/
münchen.example
blog.example/a
blog.example/a/b/c
"""


@pytest.fixture
def blocked(tmp_path: Path) -> BlockList:
    source = tmp_path / "list.txt"
    source.write_text(LIST, encoding="utf-8")
    compile_list([source], tmp_path / "list.npy", datatrove=False)
    return BlockList(tmp_path / "list.npy")


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("http://bad.example", "bad.example"),
        ("https://www.a.bad.example/x?y#z", "bad.example"),
        ("HTTPS://BAD.EXAMPLE:8080/", "bad.example"),
        ("http://user:secret@bad.example/", "bad.example"),
        ("bad.example/page", "bad.example"),
        ("//bad.example/page", "bad.example"),
        ("http://bad.example./page", "bad.example"),
        ("http://notbad.example/", ""),
        ("http://bad.example.org/", ""),
        ("http://good.example/?u=http://bad.example/", ""),
        ("http://good.example/bad.example", ""),
        ("http://good.example/a@bad.example", ""),
        ("http://sub.worse.example/", "sub.worse.example"),
        ("http://worse.example/", ""),
        ("http://www.shop.example/offers", "www.shop.example/offers"),
        ("http://www.shop.example/offers/today/1.html", "www.shop.example/offers"),
        ("http://www.shop.example/offers?page=2", "www.shop.example/offers"),
        ("http://www.shop.example/offers-not/", ""),
        ("http://www.shop.example/", ""),
        ("http://shop.example/offers", ""),
        ("http://x.blog.example/a/z", "blog.example/a"),
        ("http://blog.example/", ""),
        ("http://xn--mnchen-3ya.example/", "xn--mnchen-3ya.example"),
        ("http://www.MÜNCHEN.example/", "xn--mnchen-3ya.example"),
        ("http://[2001:db8::1]:80/", ""),
        ("mailto:someone", ""),
        ("/just/a/path", ""),
        ("", ""),
    ],
)
def test_hosts_and_pages(blocked: BlockList, url: str, entry: str) -> None:
    assert blocked.find(url) == entry
    assert blocked.find(url) == entry, "the second time, from memory"


def test_agrees_with_a_set(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hosts = [".".join(rng.choice(list("abcd"), size=rng.integers(3, 6))) for _ in range(400)]
    entries = set(hosts[:30])
    source = tmp_path / "list.txt"
    source.write_text("\n".join(sorted(entries)))
    compile_list([source], tmp_path / "list.npy", datatrove=False)
    blocked = BlockList(tmp_path / "list.npy")
    found = 0
    for host in hosts:
        labels = host.split(".")
        expected = any(".".join(labels[start:]) in entries for start in range(len(labels)))
        assert bool(blocked.find(f"https://{host}/")) == expected
        found += expected
    assert 0 < found < 400


def test_compressed_lists_and_several(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeffone.example\r\n")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"two.example\n"))
    compile_list([tmp_path / "a.txt", tmp_path / "b.gz"], tmp_path / "list.npy", datatrove=False)
    blocked = BlockList(tmp_path / "list.npy")
    assert [bool(blocked.find(f"{name}.example")) for name in ("one", "two", "three")] == [True, True, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ok.example\n0.0.0.0 bad.example\n", "line 2: not a domain or address: '0.0.0.0 bad.example'"),
        (b"ok.example\n\xff\xfe\n", "line 2: not UTF-8"),
        (b"/path\n", "line 1: not a domain"),
    ],
)
def test_faulty_lists_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        compile_list([tmp_path / "list.txt"], tmp_path / "list.npy", datatrove=False)


def test_a_truncated_list_is_refused(tmp_path: Path) -> None:
    lines = "\n".join(str(np.random.default_rng(n).integers(10**9)) + ".example" for n in range(999)).encode()
    (tmp_path / "list.gz").write_bytes(gzip.compress(lines)[:-200])
    with pytest.raises(UserError, match="not a whole gzip file"):
        compile_list([tmp_path / "list.gz"], tmp_path / "list.npy", datatrove=False)


def test_an_empty_list_blocks_nothing(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# nothing yet\n")
    compile_list([tmp_path / "list.txt"], tmp_path / "list.npy", datatrove=False)
    assert BlockList(tmp_path / "list.npy").find("http://a.example/") == ""


def test_address_without_host() -> None:
    assert split_address("http:///x") == ("", "x")


@pytest.mark.slow
def test_lists_of_datatrove(tmp_path: Path) -> None:
    compile_list([], tmp_path / "list.npy", datatrove=True)
    blocked = BlockList(tmp_path / "list.npy")
    assert blocked.find("https://www.zzzzporn.com/x") == "zzzzporn.com"
    for host in ("wikipedia.org", "blogspot.com", "github.io", "bbc.co.uk"):
        assert blocked.find(f"https://{host}/") == ""
    tracemalloc.start()
    BlockList(tmp_path / "list.npy").find("https://a.example/")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000, "the list is mapped, not loaded"
    tracemalloc.stop()
