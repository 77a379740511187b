from pathlib import Path

import pytest

from conan_data.errors import UserError
from conan_data.language.identify import Guess, LangidIdentifier, decide, identify, merge_variant, read_label
from conan_data.readers import Row, read_rows

CORPUS = Path(__file__).parents[3] / ".." / "shared" / "data" / "corpus"
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
def identifier() -> LangidIdentifier:
    return LangidIdentifier(sorted(LANGUAGES))


@pytest.mark.parametrize("lang", SENTENCES)
@pytest.mark.parametrize("declared", ["", "en", "xx"])
def test_a_sure_guess_wins(identifier: LangidIdentifier, lang: str, declared: str) -> None:
    verdict = identify(SENTENCES[lang], declared, identifier=identifier, languages=LANGUAGES, min_score=0.4)
    assert verdict.lang == lang and verdict.score is not None and 0.4 <= verdict.score <= 1


@pytest.mark.parametrize("lang", OUTSIDE)
@pytest.mark.parametrize("declared", ["", "en"])
def test_other_languages_are_dropped_by_name(identifier: LangidIdentifier, lang: str, declared: str) -> None:
    verdict = identify(OUTSIDE[lang], declared, identifier=identifier, languages=LANGUAGES, min_score=0.4)
    assert (verdict.lang, verdict.reason, verdict.detail) == ("", "other-language", lang)


def test_code_does_not_count(identifier: LangidIdentifier) -> None:
    code = "`import the module and run this function with every argument that you want`"
    verdict = identify(
        f"{code}\n\n{SENTENCES['es'][:30]} {code} {code}",
        "",
        identifier=identifier,
        languages=LANGUAGES,
        min_score=0.4,
    )
    assert verdict.lang == "es"


def test_page_of_code_goes_by_its_label(identifier: LangidIdentifier) -> None:
    options = {"identifier": identifier, "languages": LANGUAGES, "min_score": 0.4}
    assert identify("```\nprint(1)\n```", "ja", **options).lang == "ja"
    assert identify("```\nprint(1)\n```", "", **options).reason == "unsure-language"


def test_unknown_language_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'eng' is no language .* the nearest is 'en'"):
        LangidIdentifier(["de", "eng"])


def test_restricted_guess_is_the_models_own() -> None:
    """The one ranking that is cut down gives the label and the probability of a model that is really
    restricted.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    stock = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    stock.set_languages(["ru", "en", "es"])
    ours = LangidIdentifier(["ru", "en", "es"])
    for text in [*SENTENCES.values(), *OUTSIDE.values()]:
        lang, score = stock.classify(text)
        guess = ours.guess(text)
        assert guess.lang == lang
        assert guess.score == pytest.approx(score, abs=1e-4)


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
        (None, "en", "en", ""),
        (None, "", "", "unsure-language"),
    ],
)
def test_decision(guess: Guess | None, declared: str, lang: str, reason: str) -> None:
    verdict = decide(guess, declared, languages=LANGUAGES, min_score=0.4)
    assert (verdict.lang, verdict.reason) == (lang, reason)


def test_labels_are_read_in_the_usual_spellings() -> None:
    assert [read_label(value) for value in ("pt_BR", "zh-Hant", " EN ", "nb", "cmn_Hans", "", None, 3)] == [
        "pt",
        "zh",
        "en",
        "no",
        "zh",
        "",
        "",
        "",
    ]


def test_variants_merge_unless_configured() -> None:
    assert merge_variant("yue", frozenset({"zh"})) == "zh"
    assert merge_variant("yue", frozenset({"zh", "yue"})) == "yue"


def test_real_pages_of_many_languages() -> None:
    path = CORPUS / "tldr.jsonl.zst"
    if not path.exists():
        pytest.skip("../shared/data/corpus is not there")
    rows = [row for number, row in enumerate(read_rows(path)) if number % 40 == 0 and isinstance(row, Row)]
    true = [read_label(row.values["metadata"]["lang"]) for row in rows]
    languages = frozenset(true)
    identifier = LangidIdentifier(sorted(languages))
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
