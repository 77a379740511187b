import polars as pl
import pytest
from polars.testing import assert_frame_equal

from conan_data.errors import UserError
from conan_data.xlr.checks import Checker
from conan_data.xlr.config import THRESHOLDS, ChecksConfig

SOURCE = "Show the free space of all mounted file systems."
GERMAN = "Zeigt den freien Speicherplatz aller eingehängten Dateisysteme an."


def test_good_translation_passes_all(check):
    checked = check(GERMAN)
    assert checked.pop("lid_score") > 0.9
    assert checked == {"reason": "", "checks": "all", "lid": "de"}
    assert check(GERMAN, skip=("code", "language"))["checks"] == "all but code language"
    assert check("") == {"reason": "empty", "checks": "", "lid": None, "lid_score": None}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("show the free  space of ALL mounted file systems.", "same-as-source"),
        ("ja", "too-short"),
        (GERMAN * 5, "too-long"),
        (f"{GERMAN}\n\nEin Hinweis.", "extra-lines"),
        (f"{GERMAN[:-1]} \ufffd.", "undecoded"),
        (f"{GERMAN} {GERMAN}", "repeated"),
        (GERMAN[:40], "cut-off"),
        ("Display the free space of every file system that is mounted.", "source-language"),
        ("Afficher l'espace libre de tous les systèmes de fichiers montés.", "other-language"),
        ("Показать свободное место на всех подключённых файловых системах.", "wrong-script"),
        (f'"{GERMAN}"', "remark"),
        (f"Übersetzung: {GERMAN}", "remark"),
        (f"Deutsch: {GERMAN}", "remark"),
        ("Es tut mir leid, aber das kann ich nicht tun.", "refusal"),
        ("Keep its meaning, and keep names, code and numbers as they are.", "prompt-leak"),
        ("Zeigt den freien Speicherplatz aller 12 eingehängten Dateisysteme an.", "number-changed"),
    ],
)
def test_bad_translation_is_refused(reason_of, text, reason):
    assert reason_of(text) == reason


def test_checks_can_be_skipped(reason_of):
    assert reason_of(SOURCE, skip=("same", "language")) == ""
    assert reason_of(SOURCE, skip=("same",)) == "source-language"
    assert reason_of("", skip=("same", "language")) == "empty"
    assert reason_of(GERMAN[:40], skip=("ending",)) == ""


def test_a_text_that_says_nothing_about_its_language_passes_no_check_of_it(check):
    checked = check("OK", source="OK?", skip=("same", "ending"))
    assert (checked["reason"], checked["checks"], checked["lid"]) == (
        "",
        "all but same ending language",
        None,
    )


def test_close_relatives_are_no_rivals(check):
    """Indonesian that the identifier takes for Malay, and Portuguese that it takes for Galician."""
    for text, language in (
        ("Ubah berkas gambar menjadi EPS atau PDF.", "id"),
        ("Recorta campos do `stdin` ou de arquivos.", "pt"),
    ):
        checked = check(text, language, source="Cut fields from `stdin` or from files.")
        assert checked["lid"] != language
        assert checked["reason"] == ""


def test_language_unknown_to_the_identifier_is_not_judged(check, caplog):
    for _ in range(2):
        checked = check(
            "Bonyeza hapa ili kupata habari.", "tlh", source="Click here for the news.", source_language="en"
        )
        assert (checked["reason"], checked["checks"]) == ("", "all but language")
    assert len(caplog.records) == 1


def test_source_of_unknown_language_is_no_rival(reason_of):
    assert reason_of(GERMAN, source_language="und") == ""
    assert (
        reason_of(SOURCE, source="Etwas ganz anderes steht hier.", source_language="und") == "other-language"
    )


def test_a_batch_is_checked_as_its_rows_are(human):
    rows = human.gather_every(50)
    checker = Checker(ChecksConfig())
    alone = pl.concat([checker.check_each(rows[row]) for row in range(len(rows))])
    assert_frame_equal(checker.check_each(rows), alone)
    assert checker.check_each(rows[:0]).columns == alone.columns


def test_thresholds_differ_by_language(frame):
    config = ChecksConfig(
        max_length_ratio=3, by_language={"ja": {"max_length_ratio": 6, "max_extra_lines": 2}}
    )
    assert config.of("de")["max_length_ratio"] == 3
    assert (config.of("ja")["max_length_ratio"], config.of("ja")["max_extra_lines"]) == (6, 2)
    assert set(config.of("ja")) == set(THRESHOLDS)
    long = "a b c d e f g h. " * 9
    source = "Say the letters in order, a to h."
    rows = frame([("q", long, name, source, "en") for name in ("de", "ja")])
    skip = ("repeats", "script", "language", "ending")
    config = ChecksConfig(skip=skip, max_length_ratio=3, by_language={"ja": {"max_length_ratio": 6}})
    reasons = Checker(config).check_each(rows)["reason"].to_list()
    assert reasons == ["too-long", ""]


@pytest.mark.parametrize(
    ("by_language", "message"),
    [
        ({"ja": {"max_lenght_ratio": 4}}, r"by_language.ja.max_lenght_ratio.*max_length_ratio"),
        ({"ja": {"max_length_ratio": 0.5}}, r"by_language.ja.max_length_ratio: must be above 1"),
        ({"ja": {"max_extra_lines": 0.5}}, r"by_language.ja.max_extra_lines: must be a whole number"),
        ({"!!": {"max_extra_lines": 1}}, r"by_language: must be a language code"),
    ],
)
def test_wrong_thresholds_are_named(by_language, message):
    with pytest.raises(UserError, match=message):
        ChecksConfig(by_language=by_language)


def test_human_translations_are_not_thrown_away_in_bulk(human):
    reasons = Checker(ChecksConfig()).check_each(human)["reason"]
    assert (reasons == "").mean() >= 0.98


def test_translations_into_another_language_are_refused(human):
    moved = human.filter(pl.col("language").is_in(["zh", "es", "ru"])).with_columns(language=pl.lit("ta"))
    assert (Checker(ChecksConfig()).check_each(moved)["reason"] != "").mean() > 0.99
    untranslated = human.gather_every(5).with_columns(text="source")
    found = Checker(ChecksConfig(skip=("same",))).check_each(untranslated)["reason"]
    assert (found != "").mean() > 0.9
