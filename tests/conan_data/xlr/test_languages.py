import pytest

from conan_data.errors import UserError
from conan_data.xlr.languages import english_name, match


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("de", "German"),
        ("zh", "Chinese"),
        ("zh_TW", "Chinese (Traditional, Taiwan)"),
        ("pt-BR", "Portuguese (Brazil)"),
        ("uz", "Uzbek"),
        ("nb", "Norwegian Bokmål"),
    ],
)
def test_english_names(label, name):
    assert english_name(label) == name


@pytest.mark.parametrize(
    ("label", "nearest"),
    [
        ("jp", "'ja' (Japanese)"),
        ("cn", "'zh' (Chinese)"),
        ("german", "'de' (German)"),
        ("zz_TW", "nearest is"),
    ],
)
def test_unknown_label_names_the_nearest(label, nearest):
    with pytest.raises(UserError, match="not a language code") as raised:
        english_name(label)
    assert nearest in str(raised.value)


def test_scripts_of_chinese_have_names():
    assert [english_name(label) for label in ("zh-Hans", "zh-Hant")] == [
        "Chinese (Simplified)",
        "Chinese (Traditional)",
    ]


def test_unknown_variant_is_refused():
    with pytest.raises(UserError, match="not a known variant of German"):
        english_name("de_Q9")


def test_labels_count_for_the_most_specific_language():
    assert match("zh-tw", ("zh", "zh_TW")) == "zh_TW"
    assert match("zh_CN", ("zh", "zh_TW")) == "zh"
    assert match("pt_BR", ("en", "pt")) == "pt"
    assert match("nb", ("no",)) == "no"
    assert match("nb", ("no", "nb")) == "nb"
    assert match("zh-Hant", ("zh", "zh_TW")) == "zh_TW"
    assert match("zh-Hans", ("zh", "zh_TW")) == "zh"
    assert match("zh_HK", ("zh-Hans", "zh-Hant")) == "zh-Hant"
    assert match("zh", ("zh-Hant",)) is None
    assert match("pt", ("pt_BR",)) is None
    assert match("und", ("en", "de")) is None
