import dataclasses
from pathlib import Path

import pytest

from conan_data.corpus.rules.check import check
from conan_data.corpus.rules.config import RulesConfig
from conan_data.corpus.rules.normalisation import normalise
from conan_data.errors import UserError
from conan_data.readers import Row, read_rows

RETRIEVAL = Path(__file__).parents[3] / ".." / "shared" / "data" / "retrieval"
RULES = RulesConfig()
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
    drop = check(normalise(BOILERPLATE[name]), RULES)
    assert drop is not None and drop.reason in ("little-prose", "fragment-lines")


@pytest.mark.parametrize("name", CLEAN)
def test_prose_stays(name: str) -> None:
    assert check(normalise(CLEAN[name]), RULES) is None


@pytest.mark.parametrize(
    ("reason", "text", "off"),
    [
        ("too-short", "Only four words here.", {"min_words": 1, "min_prose": 0.0}),
        ("too-short", "很短的一句话。", {"min_chars": 1, "min_prose": 0.0}),
        (
            "too-long",
            CLEAN["en"] * 20,
            {"max_chars": 10_000, "max_line_repeats": 1.0, "max_phrase_repeats": 1.0},
        ),
        ("few-letters", "1.5 2.5 3.5 4.5 + - * / = 12 13 14 x y z", {"min_letters": 0.0, "min_prose": 0.0}),
        (
            "long-words",
            "QmlaYowAWWmcDbRtUDWuPCvIRJBecPdnzOBfObhGNJkqtbLbdIQvlKzTzLBkCNsRdEIzy and so on it goes for ever",
            {"max_long_words": 1.0},
        ),
        ("little-prose", BOILERPLATE["menu-line-en"], {"min_prose": 0.0}),
        ("fragment-lines", BOILERPLATE["cookies-de"], {"max_fragment_lines": 1.0}),
        (
            "repeated-lines",
            (CLEAN["en"] + "\n") * 2 + CLEAN["de"],
            {"max_line_repeats": 1.0, "max_phrase_repeats": 1.0},
        ),
        (
            "repeated-phrases",
            "we will see what we will see what " * 4 + CLEAN["en"][:40],
            {"max_phrase_repeats": 1.0},
        ),
    ],
)
def test_each_rule_can_be_switched_off(reason: str, text: str, off: dict[str, float]) -> None:
    rules = RulesConfig(max_chars=1500)
    drop = check(text.strip(), rules)
    assert drop is not None and drop.reason == reason
    assert check(text.strip(), dataclasses.replace(rules, **off)) is None


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
    ("field", "value"), [("min_words", 0), ("min_letters", 1.5), ("max_line_repeats", -0.1), ("max_chars", 3)]
)
def test_impossible_thresholds_are_refused(field: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"rules\.{field}"):
        RulesConfig(**{field: value})


@pytest.mark.parametrize("name", ["arcd", "cmrc", "drcd", "jaquad", "squad_es", "squad_it"])
def test_clean_paragraphs_stay(name: str) -> None:
    path = RETRIEVAL / name / "corpus.train.jsonl.gz"
    if not path.exists():
        pytest.skip("../shared/data/retrieval is not there")
    rows = [
        row for number, row in enumerate(read_rows(path)) if number % (20 if name == "jaquad" else 3) == 0
    ]
    kept = sum(check(normalise(row.values["text"]), RULES) is None for row in rows if isinstance(row, Row))
    assert len(rows) > 50
    assert kept / len(rows) >= 0.97
