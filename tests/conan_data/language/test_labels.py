import pytest

from conan_data.language.labels import merge_variant, read_label, read_scripted_label


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("pt_BR", "pt"),
        ("zh-Hant", "zh"),
        (" EN ", "en"),
        ("nb", "no"),
        ("nob_Latn", "no"),
        ("nno_Latn", "nn"),
        ("cmn_Hans", "zh"),
        ("zho_Hant", "zh"),
        ("deu", "de"),
        ("ger", "de"),
        ("arb_Arab", "ar"),
        ("pes_Arab", "fa"),
        ("fil_Latn", "tl"),
        ("iw", "he"),
        ("yue", "yue"),
        ("Klingon", "klingon"),
        ("", ""),
        (None, ""),
        (3, ""),
        (["en"], ""),
    ],
)
def test_labels_are_read_in_the_usual_spellings(value: object, label: str) -> None:
    assert read_label(value) == label


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("zh_TW", "zh-Hant"),
        ("zh-hk", "zh-Hant"),
        ("zho_Hant", "zh-Hant"),
        ("zh-Hans-HK", "zh-Hans"),
        ("zh-CN", "zh-Hans"),
        ("zh", "zh"),
        ("sr-Latn-CN", "sr"),
        (None, ""),
    ],
)
def test_chinese_labels_keep_their_script(value: object, label: str) -> None:
    assert read_scripted_label(value) == label


def test_variants_merge_unless_configured() -> None:
    assert merge_variant("yue", frozenset({"zh"})) == "zh"
    assert merge_variant("yue", frozenset({"zh", "yue"})) == "yue"
    assert merge_variant("zh-Hant", frozenset({"zh"})) == "zh"
    assert merge_variant("zh-Hant", frozenset({"zh-Hans"})) == "zh-Hant"
