"""Translations that people aligned: catalogues, memories, and files line by line."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from conan_data.artifact import open_artifact
from conan_data.build_pairs.aligned import read_aligned, read_moses
from conan_data.build_pairs.build import build_pairs
from conan_data.build_pairs.config import BuildPairsConfig
from conan_data.build_pairs.tmx import read_tmx
from conan_data.errors import UserError
from conan_data.readers import Broken

PO = r"""
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Language: de\n"
"Plural-Forms: nplurals=2; plural=n != 1;\n"

#: a.c:1
msgid "Cannot open the file\n"
msgstr "Die Datei kann nicht geöffnet werden\n"

#, fuzzy
msgid "A guess"
msgstr "Geraten"

msgid "Nobody translated this"
msgstr ""

msgid "one file was removed"
msgid_plural "%d files were removed"
msgstr[0] "eine Datei wurde entfernt"
msgstr[1] "%d Dateien wurden entfernt"

msgid "The file system"
msgstr "The file system"

#~ msgid "Obsolete"
#~ msgstr "Veraltet"
"""
TMX = """<?xml version="1.0" encoding="{encoding}"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en-US" datatype="plaintext"/><body>
<tu><tuv xml:lang="fr"><seg>Ouvrir le <hi>fichier</hi><ph>&lt;br/&gt;</ph> &amp; lire</seg></tuv>
<tuv xml:lang="EN-US"><seg>Open the file &amp; read</seg></tuv><tuv xml:lang="pt-BR"><seg>Abrir o arquivo e ler</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Alone</seg></tuv></tu>
</body></tmx>
"""


def test_catalogues_give_forms_of_one_and_of_many(tmp_path: Path) -> None:
    (tmp_path / "shop.po").write_text(PO)
    found = list(read_aligned(str(tmp_path / "shop.po"), "shop.po", source_language="en"))
    segments = [tuple(item) for item in found if not isinstance(item, Broken)]
    assert segments == [
        ("Cannot open the file\n", "en", "Die Datei kann nicht geöffnet werden\n", "de"),
        ("one file was removed", "en", "eine Datei wurde entfernt", "de"),
        ("%d files were removed", "en", "%d Dateien wurden entfernt", "de"),
        ("The file system", "en", "The file system", "de"),
    ]
    assert [item.reason for item in found if isinstance(item, Broken)] == [
        "fuzzy-translation",
        "no-translation",
    ]


@pytest.mark.parametrize("name", ["ja.po", "shop.ja.po", "ja/LC_MESSAGES/shop.po", "ja@x/shop.po"])
def test_a_catalogue_without_the_header_is_in_the_language_of_its_path(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('msgid "A file"\nmsgid_plural "%d files"\nmsgstr[0] "%d個のファイル"\n')
    assert [tuple(item) for item in read_aligned(str(path), name, source_language="en")] == [
        ("%d files", "en", "%d個のファイル", "ja")
    ]


def test_a_catalogue_without_a_language_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "messages.po"
    path.write_text('msgid "A file"\nmsgstr "Eine Datei"\n')
    with pytest.raises(UserError, match="messages.po: says no language"):
        list(read_aligned(str(path), "messages.po", source_language="en"))


@pytest.mark.parametrize(
    "content", [b'msgid "a\nfoo bar\n', b'msgid "a"\nmsgstr "\xff\xfe"\n', b"<html></html>"]
)
def test_what_is_no_catalogue_is_counted(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "de.po"
    path.write_bytes(content)
    found = list(read_aligned(str(path), "de.po", source_language="en"))
    assert (
        [item.reason for item in found if isinstance(item, Broken)]
        == ["invalid-po"]
        == [item.reason for item in found]
    )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_memories_give_the_source_language_with_each_other_one(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "memory.tmx.gz"
    path.write_bytes(gzip.compress(TMX.format(encoding=encoding).encode(encoding)))
    found = list(read_aligned(str(path), "memory.tmx", source_language="de"))
    assert [tuple(item) for item in found if not isinstance(item, Broken)] == [
        ("Open the file & read", "en", "Ouvrir le fichier & lire", "fr"),
        ("Open the file & read", "en", "Abrir o arquivo e ler", "pt"),
    ]
    assert [item.reason for item in found if isinstance(item, Broken)] == ["one-language"]


def test_a_memory_that_declares_entities_is_not_read(tmp_path: Path) -> None:
    lines = "".join(f'<!ENTITY a{n} "{"".join(f"&a{n - 1};" * 10)}">' for n in range(1, 12))
    bomb = (
        TMX.format(encoding="utf-8")
        .replace('SYSTEM "tmx14.dtd"', f'[<!ENTITY a0 "x">{lines}]')
        .replace("Alone", "&a11;")
    )
    (tmp_path / "bomb.tmx").write_text(bomb)
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    (tmp_path / "file.tmx").write_text(
        TMX.format(encoding="utf-8").replace('SYSTEM "tmx14.dtd"', f'[<!ENTITY s SYSTEM "{secret}">]').replace("Alone", "&s;")
    )  # fmt: skip
    for name in ("bomb.tmx", "file.tmx"):
        found = list(read_tmx(str(tmp_path / name), name))
        assert [item.reason for item in found if isinstance(item, Broken)] == ["invalid-xml"] and len(
            found
        ) == 1


def test_a_memory_that_breaks_off_gives_what_was_whole(tmp_path: Path) -> None:
    (tmp_path / "cut.tmx").write_text(
        TMX.format(encoding="utf-8").partition('<tu><tuv xml:lang="en">')[0] + "<tu><tuv"
    )
    found = list(read_tmx(str(tmp_path / "cut.tmx"), "cut.tmx"))
    assert len(found) == 2 and isinstance(found[1], Broken) and found[1].is_gap


def test_lines_of_two_files_belong_together(tmp_path: Path) -> None:
    (tmp_path / "news.de.gz").write_bytes(gzip.compress(b"Eins\nZwei\n"))
    (tmp_path / "news.en").write_text("One\nTwo")
    found = list(read_moses(str(tmp_path / "news.de.gz"), str(tmp_path / "news.en")))
    assert [tuple(item) for item in found] == [("Eins", "de", "One", "en"), ("Zwei", "de", "Two", "en")]


@pytest.mark.parametrize(
    ("first", "second"), [("One\n", "Eins\nZwei\n"), ("One\nTwo\n", "Eins\n"), ("", "Eins\n")]
)
def test_files_of_unequal_length_are_refused(first: str, second: str, tmp_path: Path) -> None:
    paths = [tmp_path / "news.en", tmp_path / "news.de"]
    paths[0].write_text(first)
    paths[1].write_text(second)
    with pytest.raises(UserError, match="moses: .* lines and .* has more"):
        build_pairs(BuildPairsConfig(moses=tuple(map(str, paths)), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a.de", "b.de"), "both in 'de'"),
        (("a.de", "plain"), "last ending is no language"),
        (("a.de",), "two and two"),
    ],
)
def test_files_without_two_languages_are_refused(names: tuple[str, ...], words: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_text("x\n")
    with pytest.raises(UserError, match=words):
        build_pairs(
            BuildPairsConfig(moses=tuple(str(tmp_path / name) for name in names), out=tmp_path / "out")
        )


def test_all_of_them_become_pairs_and_what_is_none_is_counted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "shop.po").write_text(PO)
    (tmp_path / "in" / "memory.tmx").write_text(TMX.format(encoding="utf-8"))
    (tmp_path / "news.de").write_text("Eins und zwei\n")
    (tmp_path / "news.en").write_text("One and two\n")
    out = build_pairs(
        BuildPairsConfig(
            input=(str(tmp_path / "in"),), moses=(str(tmp_path / "news.de"), str(tmp_path / "news.en")), out=tmp_path / "out"
        )
    )  # fmt: skip
    pairs = pl.read_parquet(out / "data" / "*.parquet")
    assert (
        pairs.height == 6 and set(pairs["kind"]) == {"translation"} and set(pairs["source"]) == {"in", "news"}
    )
    languages = {frozenset(pair) for pair in pairs.select("lang_query", "lang_document").iter_rows()}
    assert languages == {frozenset(pair) for pair in (("en", "de"), ("en", "fr"), ("en", "pt"))}
    rows = open_artifact(out).manifest["rows"]
    assert rows["dropped"] == {
        "same-sides": 1,
        "fuzzy-translation": 1,
        "no-translation": 1,
        "one-language": 1,
    }
