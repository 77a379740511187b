"""What the rules cost and what they catch: clean paragraphs in 11 languages must stay, planted rubbish must go.

The passages of the Python documentation are no clean prose. What is dropped of them is code blocks, release
notes that are lists, tables of names, and (in Portuguese) passages that nobody has translated.
"""

import base64
import random
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from conan_data.corpus.rules.check import check
from conan_data.corpus.rules.config import RulesConfig
from conan_data.readers import Row, read_rows
from conan_data.text.normalisation import normalise

DATA = Path(__file__).parents[4] / ".." / "shared" / "data"
RULES = RulesConfig()
SAMPLE = 300
PARAGRAPHS = {
    "ar": "arcd",
    "es": "squad_es",
    "it": "squad_it",
    "ja": "jaquad",
    "zh": "cmrc",
    "zh-Hant": "drcd",
}
DOCUMENTATION = ("ko", "uk", "tr", "pt", "fr")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not there")


@cache
def texts(path: Path) -> list[str]:
    found = [normalise(row.values["text"]) for row in read_rows(path) if isinstance(row, Row)]
    return random.Random(0).sample(found, min(SAMPLE, len(found)))


def kept_share(path: Path, lang: str) -> float:
    found = texts(path)
    drops = Counter(drop.reason for text in found if (drop := check(text, RULES, lang=lang)))
    share = 1 - drops.total() / len(found)
    print(f"{lang}: {share:.3f} of {len(found)} kept, dropped {dict(drops)}")
    return share


@needs_data
@pytest.mark.parametrize("lang", PARAGRAPHS)
def test_clean_paragraphs_stay(lang: str) -> None:
    assert kept_share(DATA / "retrieval" / PARAGRAPHS[lang] / "corpus.train.jsonl.gz", lang) >= 0.97


@needs_data
@pytest.mark.parametrize("lang", DOCUMENTATION)
def test_documentation_stays(lang: str) -> None:
    assert kept_share(DATA / "corpus" / f"pydocs.{lang}.jsonl.zst", lang) >= 0.85


MENUS = {
    "it": "Home\nProdotti\nServizi\nChi siamo\nContatti\nBlog\nLavora con noi\nAccedi\nRegistrati\nCerca nel sito",
    "ko": "홈\n제품 소개\n서비스\n회사 소개\n문의하기\n블로그\n채용 정보\n로그인\n회원가입\n검색",
    "tr": "Ana sayfa\nÜrünler\nHizmetler\nHakkımızda\nİletişim\nBlog\nKariyer\nGiriş yap\nKayıt ol\nAra",
    "uk": "Головна\nПродукти\nПослуги\nПро нас\nКонтакти\nБлог\nВакансії\nУвійти\nРеєстрація\nПошук",
    "pt": "Início | Produtos | Serviços | Sobre nós | Contato | Blog | Carreiras | Entrar | Cadastre-se",
    "fr": "Accueil | Produits | Services | À propos | Contact | Blog | Carrières | Connexion | Inscription",
}
BANNERS = {
    "en": "This website uses cookies to give you the best experience. Please read our privacy policy and accept cookies.",
    "es": "Este sitio web utiliza cookies para mejorar su experiencia de navegación y mostrarle contenidos de interés.",
    "it": "Questo sito utilizza i cookie per offrirti una migliore esperienza di navigazione sulle nostre pagine.",
    "de": "Bitte aktivieren Sie JavaScript in Ihrem Browser, um alle Funktionen dieser Seite nutzen zu können.",
    "ru": "Для работы с этим сайтом включите, пожалуйста, JavaScript в настройках вашего браузера и обновите страницу.",
    "zh": "本网站使用cookie来改善您的浏览体验，继续浏览即表示您同意我们的做法。",
    "ko": "이 사이트를 이용하려면 브라우저 설정에서 JavaScript를 활성화한 다음 페이지를 새로 고쳐 주십시오.",
}
SPAM = {
    "en": "cheap flights cheap hotels cheap flights london cheap flights paris cheap hotels rome cheap flights berlin "
    "cheap hotels madrid cheap flights oslo cheap hotels vienna cheap flights prague cheap hotels lisbon deals",
    "de": "günstige Möbel Sofa Couch Sessel Wohnzimmer Schlafzimmer Küche Esszimmer Regal Schrank Kommode Tisch Stuhl "
    "Lampe Teppich Gardine Matratze Bett Kissen Decke Spiegel Vitrine Garderobe Hocker Bank Sideboard Outlet Rabatt Angebote Online",
    "ru": "купить окна дёшево москва пластиковые окна установка окна балкон остекление окна цены скидки акция окна недорого "
    "монтаж доставка окна рассрочка двери межкомнатные входные двери железные двери ремонт отделка потолки натяжные",
    "es": "comprar zapatillas baratas zapatillas running zapatillas mujer zapatillas hombre zapatillas niños ofertas zapatillas outlet "
    "zapatillas online descuentos zapatillas marca zapatillas blancas zapatillas negras zapatillas deportivas tienda envío gratis calzado rebajas",
    "ja": "激安通販送料無料新品中古販売店舗一覧東京大阪名古屋福岡札幌仙台横浜京都神戸広島新作財布時計鞄靴服帽子眼鏡指輪首飾化粧品香水家具家電",
}  # fmt: skip
SENTENCES = {
    "en": "Our team of experts will help you find the best offer for your home.",
    "fr": "Notre équipe vous aide à trouver la meilleure offre pour votre maison.",
    "zh": "我们的专家团队将帮助您为您的家找到最优惠的价格。",
    "ar": "سيساعدك فريق الخبراء لدينا في العثور على أفضل عرض لمنزلك الجديد.",
    "th": "ทีมผู้เชี่ยวชาญของเราจะช่วยให้คุณพบข้อเสนอที่ดีที่สุดสำหรับบ้านของคุณ",
}


@pytest.mark.parametrize(("lang", "text"), MENUS.items())
def test_menus_go(lang: str, text: str) -> None:
    assert check(normalise(text), RULES, lang=lang)


@pytest.mark.parametrize(("lang", "text"), BANNERS.items())
def test_notices_go(lang: str, text: str) -> None:
    drop = check(normalise(text), RULES, lang=lang)
    assert drop is not None and drop.reason == "notices"


@pytest.mark.parametrize(("lang", "text"), SPAM.items())
def test_keyword_spam_goes(lang: str, text: str) -> None:
    assert check(normalise(text), RULES, lang=lang)


@pytest.mark.parametrize(("lang", "text"), SENTENCES.items())
@pytest.mark.parametrize("joint", [" ", "\n", "\n\n"])
def test_repeated_text_goes(lang: str, text: str, joint: str) -> None:
    assert check(normalise(joint.join([text] * 5)), RULES, lang=lang)


@pytest.mark.parametrize("width", [16, 24, 64, 76, 4000])
def test_encoded_data_goes(width: int) -> None:
    """Whatever the run of the letters: shares of long words depend on where `+` and `/` fall."""
    for seed in range(50):
        row = base64.b64encode(random.Random(seed).randbytes(300)).decode()
        wrapped = "\n".join(row[start : start + width] for start in range(0, len(row), width))
        assert check(normalise(wrapped), RULES, lang="en"), wrapped


@pytest.mark.parametrize("seed", range(5))
def test_hashes_and_keys_go(seed: int) -> None:
    rng = random.Random(seed)
    assert check(" ".join(rng.randbytes(16).hex() for _ in range(20)), RULES)


def test_link_lists_go() -> None:
    links = "\n".join(
        f"https://www.example.org/news/2024/{number:02}/article-{number}.html" for number in range(20)
    )
    titles = "\n".join(f"Read more: the news of day {number}" for number in range(20))
    assert check(links, RULES, lang="en")
    assert check(titles, RULES, lang="en")


def test_placeholder_text_goes() -> None:
    text = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore."
    assert check(text, RULES, lang="en")


def test_code_without_prose_goes() -> None:
    script = "function show(id) {\n  var box = document.getElementById(id);\n  box.style.display = 'block';\n}\nshow('menu');\n"
    style = ".menu { margin: 0; padding: 4px; }\n.menu a { color: #333; }\n.footer { clear: both; }\n.box { float: left; }\n"
    assert check(normalise(script), RULES, lang="en")
    assert check(normalise(style), RULES, lang="en")


def test_pages_about_the_matter_stay() -> None:
    """C4 would take the first two for notices and drop the third for its braces."""
    for text in (
        "JavaScript is a programming language that was made for the pages of the web in 1995, and that runs on servers now. "
        "Scripts run after a reader has opened the page, and can change all that is on it without asking the server.",
        "A cookie is a small text that a site leaves with the browser. It comes back with every request, so that the site knows "
        "who is asking; that is how a shop remembers what is in the basket, and how advertisers follow a reader.",
        "In Python a set is written as {1, 2, 3} and a dictionary as {'one': 1}; both need their keys to be hashable.",
    ):
        assert check(text, RULES, lang="en") is None
