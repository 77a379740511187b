import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from conan_data.xlr.checks import Checker
from conan_data.xlr.config import ChecksConfig

TLDR = Path(__file__).parents[3] / ".." / "shared" / "data" / "retrieval" / "tldr"
SOURCE = "Show the free space of all mounted file systems."
GERMAN = "Zeigt den freien Speicherplatz aller eingehängten Dateisysteme an."


def check(text, language="de", *, source=SOURCE, **config):
    return Checker(ChecksConfig(**config)).check(text, language, source=source, source_language="en")


def test_good_translation_passes_all():
    checked = check(GERMAN)
    assert (checked.reason, checked.passed, checked.lid) == (
        "",
        ("empty", "same", "length", "language"),
        "de",
    )
    assert checked.lid_score > 0.9


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("show the free  space of ALL mounted file systems.", "same-as-source"),
        ("ja", "too-short"),
        (GERMAN * 5, "too-long"),
        ("Display the free space of every file system that is mounted.", "source-language"),
        ("Afficher l'espace libre de tous les systèmes de fichiers montés.", "other-language"),
        ("Показать свободное место на всех подключённых файловых системах.", "other-language"),
    ],
)
def test_bad_translation_is_refused(text, reason):
    assert check(text).reason == reason


def test_checks_can_be_switched_off():
    assert check(SOURCE, refuse_same=False, language=False).reason == ""
    assert check(SOURCE, refuse_same=False).reason == "source-language"
    assert check("", language=False, refuse_same=False).reason == "empty"


def test_a_text_that_says_nothing_about_its_language_passes_no_check_of_it():
    checked = check("OK", source="OK?", refuse_same=False)
    assert (checked.reason, "language" in checked.passed, checked.lid) == ("", False, None)


def test_close_relatives_are_no_rivals():
    """Indonesian that the identifier takes for Malay, and Portuguese that it takes for Galician."""
    for text, language in (
        ("Ubah berkas gambar menjadi EPS atau PDF.", "id"),
        ("Recorta campos do `stdin` ou de arquivos.", "pt"),
    ):
        checked = check(text, language, source="Cut fields from `stdin` or from files.")
        assert checked.lid != language
        assert checked.reason == ""


def test_language_unknown_to_the_identifier_is_not_judged(caplog):
    checker = Checker(ChecksConfig())
    for _ in range(2):
        checked = checker.check(
            "Bonyeza hapa ili kupata habari.", "tlh", source="Click here for the news.", source_language="en"
        )
        assert (checked.reason, "language" in checked.passed) == ("", False)
    assert len(caplog.records) == 1


def test_source_of_unknown_language_is_no_rival():
    assert Checker(ChecksConfig()).check(GERMAN, "de", source=SOURCE, source_language="und").reason == ""
    assert (
        Checker(ChecksConfig())
        .check(SOURCE, "de", source="Etwas ganz anderes steht hier.", source_language="und")
        .reason
        == "other-language"
    )


def test_human_translations_are_not_thrown_away_in_bulk():
    if not TLDR.is_dir():
        pytest.skip(f"{TLDR} is not there")
    with gzip.open(TLDR / "queries.train.jsonl.gz", "rt") as file:
        sources = {row["_id"]: row["text"] for row in map(json.loads, file)}
    with gzip.open(TLDR / "translations.train.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file][::5]
    checker = Checker(ChecksConfig(refuse_same=False))
    human = Counter(
        checker.check(row["text"], row["lang"], source=sources[row["query_id"]], source_language="en").reason
        for row in rows
    )
    untranslated = Counter(
        checker.check(text := sources[row["query_id"]], row["lang"], source=text, source_language="en").reason
        for row in rows
    )
    assert human[""] > 0.995 * len(rows)
    assert human["source-language"] > 0  # the set holds a few texts that nobody translated
    assert untranslated["source-language"] > 0.9 * len(rows)
    third = Counter(
        checker.check(row["text"], "ta", source=sources[row["query_id"]], source_language="en").reason
        for row in rows
        if row["lang"] in ("zh", "es", "ru")
    )
    assert third["other-language"] > 0.95 * third.total()
