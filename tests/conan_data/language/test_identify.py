from pathlib import Path

import pytest

from conan_data.language.guess import Guess, Identifier
from conan_data.language.identify import decide, identify, load_identifier, split_chinese
from conan_data.language.labels import read_label
from conan_data.readers import Row, read_rows

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
LANGUAGES = frozenset({"ar", "en", "es", "ja", "zh", "ru"})
SENTENCES = {
    "ar": "ذهبت إلى السوق صباح اليوم واشتريت الخضروات والفواكه الطازجة لعائلتي.",
    "en": "This morning I went to the market and bought fresh vegetables for my family.",
    "es": "Esta mañana fui al mercado y compré verduras frescas para mi familia.",
    "ja": "今朝は市場へ行って、家族のために新鮮な野菜を買いました。",
    "zh": "今天早上我去了市场，给家人买了新鲜的蔬菜。",
    "ru": "Сегодня утром я пошёл на рынок и купил свежие овощи для своей семьи.",
}
OUTSIDE = {
    "de": "Heute Morgen ging ich auf den Markt und kaufte frisches Gemüse für meine Familie.",
    "sw": "Leo asubuhi nilienda sokoni na kununua mboga mpya kwa ajili ya familia yangu.",
    "uk": "Сьогодні вранці я пішов на ринок і купив свіжі овочі для своєї родини.",
    "fa": "امروز صبح به بازار رفتم و برای خانواده‌ام سبزیجات تازه خریدم.",
    "ko": "오늘 아침에 시장에 가서 가족을 위해 신선한 채소를 샀습니다.",
}


@pytest.fixture(scope="module")
def identifier() -> Identifier:
    return load_identifier("langid", LANGUAGES)


@pytest.mark.parametrize("lang", SENTENCES)
@pytest.mark.parametrize("declared", ["", "en", "xx"])
def test_a_sure_guess_wins(identifier: Identifier, lang: str, declared: str) -> None:
    verdict = identify(SENTENCES[lang], declared, identifier=identifier, languages=LANGUAGES, min_score=0.4)
    assert verdict.lang == lang and verdict.score is not None and 0.4 <= verdict.score <= 1


@pytest.mark.parametrize("lang", OUTSIDE)
@pytest.mark.parametrize("declared", ["", "en"])
def test_other_languages_are_dropped_by_name(identifier: Identifier, lang: str, declared: str) -> None:
    verdict = identify(OUTSIDE[lang], declared, identifier=identifier, languages=LANGUAGES, min_score=0.4)
    assert (verdict.lang, verdict.reason, verdict.detail) == ("", "other-language", lang)


def test_code_does_not_count(identifier: Identifier) -> None:
    code = "`import the module and run this function with every argument that you want`"
    verdict = identify(
        f"{code}\n\n{SENTENCES['es'][:30]} {code} {code}",
        "",
        identifier=identifier,
        languages=LANGUAGES,
        min_score=0.4,
    )
    assert verdict.lang == "es"


def test_page_of_code_goes_by_its_label(identifier: Identifier) -> None:
    options = {"identifier": identifier, "languages": LANGUAGES, "min_score": 0.4}
    assert identify("```\nprint(1)\n```", "ja", **options).lang == "ja"
    assert identify("```\nprint(1)\n```", "", **options).reason == "no-language"


@pytest.mark.parametrize(
    ("guess", "declared", "lang", "reason"),
    [
        (Guess("es", 0.9, 0.8, "es", 0.8), "en", "es", ""),
        (Guess("es", 0.3, 0.2, "es", 0.2), "", "", "unsure-language"),
        (Guess("es", 0.3, 0.2, "es", 0.2), "en", "en", ""),
        (Guess("es", 0.3, 0.2, "es", 0.2), "fr", "", "unsure-language"),
        (Guess("es", 0.9, 0.01, "gl", 0.7), "", "", "other-language"),
        (Guess("es", 0.9, 0.01, "gl", 0.7), "es", "", "other-language"),
        (Guess("es", 0.9, 0.3, "gl", 0.6), "es", "es", ""),
        (Guess("es", 0.9, 0.3, "gl", 0.6), "en", "", "other-language"),
        (Guess("en", 0.2, 0.01, "zxx", 0.9), "en", "", "no-language"),
        (Guess("", 0.0, 0.0, "zxx", 0.0), "", "", "no-language"),
        (Guess("", 0.0, 0.0, "zxx", 0.0), "es", "es", ""),
        (Guess("", 0.0, 0.0, "", 0.0), "", "", "no-language"),
        (None, "en", "en", ""),
        (None, "", "", "no-language"),
    ],
)
def test_decision(guess: Guess | None, declared: str, lang: str, reason: str) -> None:
    verdict = decide(guess, declared, languages=LANGUAGES, min_score=0.4)
    assert (verdict.lang, verdict.reason) == (lang, reason)


@pytest.mark.parametrize(
    ("text", "declared", "lang"),
    [
        ("我們在學校裡學習漢語。", "zh", "zh-Hant"),
        ("我们在学校里学习汉语。", "zh", "zh-Hans"),
        ("人人生而平等", "zh-Hant", "zh-Hant"),
        ("人人生而平等", "", "zh-Hans"),
    ],
)
def test_chinese_is_split_by_its_characters(text: str, declared: str, lang: str) -> None:
    languages = frozenset({"en", "zh-Hans", "zh-Hant"})
    guess, _ = split_chinese(Guess("zh", 0.9, 0.8, "zh", 0.8), declared, text, languages=languages)
    assert guess == Guess(lang, 0.9, 0.8, lang, 0.8)


@pytest.mark.parametrize("declared", ["", "zh", "zh-Hant", "zh-Hans"])
def test_chinese_in_a_script_that_is_not_configured_is_another_language(declared: str) -> None:
    languages = frozenset({"en", "zh-Hans"})
    identifier = load_identifier("langid", languages)
    options = {"identifier": identifier, "languages": languages, "min_score": 0.4}
    verdict = identify("今天早上我去了市場，給家人買了新鮮的蔬菜。", declared, **options)
    assert (verdict.lang, verdict.reason, verdict.detail) == ("", "other-language", "zh-Hant")
    assert identify(SENTENCES["zh"], declared, **options).lang == "zh-Hans"
    assert identify(SENTENCES["en"], declared, **options).lang == "en"


def test_a_label_without_script_decides_for_a_page_of_code() -> None:
    languages = frozenset({"zh-Hans", "zh-Hant"})
    options = {"identifier": load_identifier("langid", languages), "languages": languages, "min_score": 0.4}
    assert identify("`print('漢語')`", "zh", **options).lang == "zh-Hant"


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not there")
@pytest.mark.parametrize(("name", "script"), [("drcd", "zh-Hant"), ("cmrc", "zh-Hans")])
def test_scripts_of_real_passages(name: str, script: str) -> None:
    languages = frozenset({"en", "ja", "zh-Hans", "zh-Hant"})
    options = {"identifier": load_identifier("langid", languages), "languages": languages, "min_score": 0.4}
    rows = [
        row for row in read_rows(DATA / "retrieval" / name / "corpus.train.jsonl.gz") if isinstance(row, Row)
    ]
    found = [identify(row.values["text"], "", **options).lang for row in rows]
    assert len(found) > 500
    assert found.count(script) / len(found) >= 0.99


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not there")
def test_real_pages_of_many_languages() -> None:
    path = DATA / "corpus" / "tldr.jsonl.zst"
    rows = [row for number, row in enumerate(read_rows(path)) if number % 40 == 0 and isinstance(row, Row)]
    true = [read_label(row.values["metadata"]["lang"]) for row in rows]
    languages = frozenset(true)
    identifier = load_identifier("langid", languages)
    found = [
        identify(row.values["text"], "", identifier=identifier, languages=languages, min_score=0.4)
        for row in rows
    ]
    assert len(languages) > 30
    assert sum(verdict.lang == lang for verdict, lang in zip(found, true, strict=True)) / len(true) > 0.97
    assert (
        sum(verdict.lang not in ("", lang) for verdict, lang in zip(found, true, strict=True)) / len(true)
        < 0.01
    )
