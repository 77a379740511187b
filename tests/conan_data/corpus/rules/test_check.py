import dataclasses

import pytest

from conan_data.corpus.rules.check import Checker, check
from conan_data.corpus.rules.config import RulesConfig
from conan_data.corpus.rules.measures import StopTable
from conan_data.corpus.rules.profiles import profile
from conan_data.errors import UserError
from conan_data.text.normalisation import normalise

RULES = RulesConfig()
OFF = RulesConfig(
    **{
        field.name: 0 if field.name.startswith(("min_", "boiler")) or field.name.endswith("_mean_word") else 1
        for field in dataclasses.fields(RulesConfig)
    }
    | {"min_words": 1, "min_chars": 1, "max_chars": 2_000_000, "drop_placeholders": False}
    | {name: getattr(RULES, name) for name in ("fragment_lines", "fragment_prose", "sentence_letters")}
)
"""No rule but that on empty texts."""
BOILERPLATE = {
    "cookies-en": "We value your privacy\nWe use cookies to enhance your browsing experience and analyse our traffic.\n"
    "Accept all\nReject all\nCookie settings\nPrivacy policy",
    "cookies-de": "Wir verwenden Cookies\nWir nutzen Cookies, um Inhalte zu personalisieren und die Zugriffe auf die Seite zu zählen.\n"
    "Alle akzeptieren\nAblehnen\nEinstellungen\nImpressum\nDatenschutz",
    "cookies-ja": "Cookieの使用について\n当サイトでは、利便性向上のためにCookieを使用しています。\nすべて許可\n拒否\n設定\n閉じる",
    "cookies-zh": "我们使用Cookie\n本网站使用Cookie来改善您的浏览体验。\n接受全部\n拒绝\n设置\n隐私政策",
    "cookies-ru": "Мы используем файлы cookie\nПродолжая пользоваться сайтом, вы соглашаетесь с использованием файлов cookie.\n"
    "Принять все\nОтклонить\nНастройки",
    "cookies-ar": "نحن نستخدم ملفات تعريف الارتباط\nنستخدم ملفات تعريف الارتباط لتحسين تجربتك على موقعنا وتحليل حركة المرور.\n"
    "قبول الكل\nرفض الكل\nالإعدادات\nسياسة الخصوصية",
    "menu-en": "Home\nProducts\nServices\nAbout us\nContact\nBlog\nCareers\nLogin\nRegister\nSearch",
    "menu-line-en": "Home | Products | Services | About us | Contact | Blog | Careers | Login | Register",
    "menu-zh": "首页\n产品中心\n新闻动态\n关于我们\n联系方式\n登录\n注册\n搜索\n帮助中心",
    "menu-line-ja": "ホーム | 製品情報 | ニュース | 会社概要 | お問い合わせ | ログイン | 会員登録 | よくある質問",
    "menu-th": "หน้าแรก\nสินค้า\nบริการ\nเกี่ยวกับเรา\nติดต่อเรา\nเข้าสู่ระบบ\nสมัครสมาชิก",
    "footer-en": "© 2024 Example Corporation. All rights reserved. Privacy Policy | Terms of Service | Contact us",
    "footer-es": "© 2024 Ejemplo S.A. Todos los derechos reservados. Aviso legal | Política de privacidad | Mapa del sitio",
    "footer-zh": "版权所有 © 2024 示例有限公司。保留所有权利。京ICP备12345678号 | 隐私政策 | 联系我们",
    "footer-ru": "© 2024 ООО «Пример». Все права защищены. Политика конфиденциальности | Контакты | Карта сайта",
}
CLEAN = {
    "en": "The cat sat on the mat. It was raining outside, and nobody wanted to leave the house before noon.",
    "en-list": "To install the package:\n\n1. Download the archive from the release page.\n2. Unpack it into a folder of your choice.\n"
    "3. Run the installer and follow the instructions.",
    "en-dialogue": "“Where are you going?” she asked.\n“Home,” he said.\n“Already?”\n“It is late, and I am tired of waiting for them.”",
    "de": "Die Donaudampfschifffahrtsgesellschaft wurde 1829 in Wien gegründet und war lange die größte ihrer Art.",
    "fi": "Kissa nukkui ikkunalaudalla koko iltapäivän, koska ulkona satoi kylmää vettä ja tuuli kovasti.",
    "hi": "बिल्ली सारी दोपहर खिड़की पर सोती रही क्योंकि बाहर ठंडी बारिश हो रही थी और तेज़ हवा चल रही थी।",
    "ko": "고양이는 오후 내내 창가에서 잠을 잤다. 밖에는 차가운 비가 내리고 바람이 세게 불고 있었기 때문이다.",
    "ru": "Кошка весь день спала на подоконнике, потому что на улице шёл холодный дождь и дул сильный ветер.",
    "th": "แมวเป็นสัตว์เลี้ยงลูกด้วยนมที่มนุษย์นิยมเลี้ยงไว้เป็นเพื่อน มีขนนุ่มและชอบนอนหลับในเวลากลางวัน",
    "zh": "猫整个下午都睡在窗台上，因为外面下着冷雨，风也刮得很大。",
    "am": "ድመቷ ከሰዓት በኋላ ሙሉ በሙሉ በመስኮቱ ላይ ተኝታ ነበር፤ ምክንያቱም ውጭ ቀዝቃዛ ዝናብ ይዘንብ ነበር።",
}


@pytest.mark.parametrize("name", BOILERPLATE)
def test_boilerplate_goes(name: str) -> None:
    text = normalise(BOILERPLATE[name])
    drop = check(text, RULES, lang=name.rsplit("-", 1)[-1])
    assert drop is not None and drop.reason in ("little-prose", "fragment-lines")
    assert check(text, RULES) == drop


@pytest.mark.parametrize("name", CLEAN)
def test_prose_stays(name: str) -> None:
    assert check(normalise(CLEAN[name]), RULES) is None
    assert check(normalise(CLEAN[name]), RULES, lang=name.partition("-")[0]) is None


@pytest.mark.parametrize(
    ("reason", "text", "on"),
    [
        ("too-short", "Only four words here.", ["min_words"]),
        ("too-short", "很短的一句话。", ["min_chars"]),
        ("too-long", CLEAN["en"] * 20_000, ["max_chars"]),
        ("few-letters", "1.5 2.5 3.5 4.5 + - * / = 12 13 14 x y z", ["min_letters"]),
        ("few-alphabetic-words", "in 1990 1991 1992 1993 1994 inhabitants", ["min_alphabetic_words"]),
        ("long-words", "thisisonewordof" * 3 + " and so on", ["max_long_words"]),
        ("mixed-words", "see fK3mPq9 and zZ8Rt4w for all of it", ["max_mixed_words"]),
        ("word-length", "a b c d e f g h i j", ["min_mean_word"]),
        ("word-length", "Internationalisierungen Benutzerfreundlichkeit", ["max_mean_word"]),
        ("symbols", "#love #life #sun and nothing else", ["max_symbols"]),
        ("symbols", "well... that is... nothing… else", ["max_symbols"]),
        ("little-prose", BOILERPLATE["menu-line-en"], ["min_prose"]),
        ("few-sentences", "Too short. To be one.", ["min_sentences"]),
        ("fragment-lines", BOILERPLATE["cookies-de"], ["max_fragment_lines"]),
        ("bullet-lines", f"- {CLEAN['en']}\n* {CLEAN['de']}\n• {CLEAN['fi']}\n- it", ["max_bullet_lines"]),
        ("ellipsis-lines", "what is new...\nwhat is old…\nno\nno", ["max_ellipsis_lines"]),
        ("unended-lines", "a line of text without a point\n" * 4, ["min_ended_lines"]),
        ("short-lines", "a short line.\n" * 4, ["max_short_lines"]),
        ("few-letters-a-line", "one.\ntwo.\nthree.\nfour.", ["min_line_letters"]),
        ("code-lines", "int x;\nif (x) {\ncall(x, 1);\nno", ["max_code_lines"]),
        ("repeated-lines", (CLEAN["en"] + "\n") * 2 + CLEAN["de"], ["max_line_repeats"]),
        ("duplicate-lines", f"ok\nok\nok\n{CLEAN['en']}", ["max_duplicate_lines"]),
        ("repeated-paragraphs", f"{CLEAN['en']}\n\n{CLEAN['de']}\n\n{CLEAN['en']}", ["max_paragraph_repeats"]),
        ("duplicate-paragraphs", f"ok\n\nok\n\nok\n\n{CLEAN['en']}", ["max_duplicate_paragraphs"]),
        ("repeated-phrases", "we will see what we will see what " * 4 + CLEAN["en"][:40], ["max_phrase_repeats"]),
        ("repeated-passages", f"{CLEAN['en']} {CLEAN['de']} {CLEAN['en']}", ["max_passage_repeats"]),
        ("top-phrase", "buy now one buy now two buy now six buy now", ["max_top_phrase"]),
        ("few-stop-words", "Wasser Feuer Erde " * 10, ["min_stop_words", "stop_word_length"]),
        ("placeholder-text", "Lorem ipsum dolor sit amet", ["drop_placeholders"]),
        ("notices", "Please enable JavaScript to see this page.", ["max_notices"]),
    ],
)  # fmt: skip
def test_each_rule_drops_alone_and_can_be_switched_off(reason: str, text: str, on: list[str]) -> None:
    alone = dataclasses.replace(OFF, **{field: getattr(RULES, field) for field in on})
    drop = check(text.strip(), alone, lang="de")
    assert drop is not None and drop.reason == reason
    assert check(text.strip(), OFF, lang="de") is None


def test_braces_can_be_forbidden() -> None:
    text = "a set is {1, 2} and no more"
    assert check(text, OFF) is None
    drop = check(text, dataclasses.replace(OFF, max_braces=0.0))
    assert drop is not None and drop.reason == "braces"


def test_a_text_that_is_too_long_is_not_looked_at() -> None:
    def never(text: str, *, sentence_letters: int, stop: StopTable) -> list[int]:
        raise AssertionError("looked at")

    drop = Checker(RULES, measure=never).check("a word " * 1_000_000, "en")
    assert drop is not None and drop.reason == "too-long"


def test_words_are_as_long_as_the_language_makes_them() -> None:
    korean, finnish = (
        CLEAN["ko"],
        "Kansainvälisten tutkimuslaitosten yhteistyösopimus ja ehdot julkaistaan huomenna.",
    )
    config = dataclasses.replace(OFF, min_mean_word=RULES.min_mean_word, max_mean_word=RULES.max_mean_word)
    for text, lang, other in ((korean, "ko", "ru"), (finnish, "fi", "en")):
        assert check(text, config, lang=lang) is None
        assert check(text, config) is None, "nobody said which language"
        drop = check(text, config, lang=other)
        assert drop is not None and drop.reason == "word-length"


def test_variants_of_a_language_share_its_profile() -> None:
    assert profile("zh-Hant") is profile("zh")
    assert profile("xx") is profile("")


def test_sentences_end_where_they_should() -> None:
    """A dot inside a number or a name ends no sentence, so this is one long one."""
    words = "version 3.14 of example.org is out now everywhere"
    assert check(words, RULES) is None
    assert (
        check(
            words.replace("3.14", "3. 14")
            .replace("example.org", "example. org")
            .replace("is out", "is! out"),
            RULES,
        ).reason
        == "little-prose"
    )


@pytest.mark.parametrize("text", ["。。。。", "......", "\n", "🙂" * 30, "1234567890 " * 20])
def test_texts_without_letters_are_no_error(text: str) -> None:
    assert check(text, RULES) is not None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_words", 0),
        ("min_letters", 1.5),
        ("max_line_repeats", -0.1),
        ("max_chars", 3),
        ("max_mean_word", -1.0),
        ("min_stop_words", -1),
        ("boilerplate_documents", 1),
    ],
)
def test_impossible_thresholds_are_refused(field: str, value: float) -> None:
    with pytest.raises(UserError, match=f"^{field}: "):
        RulesConfig(**{field: value})
