"""What every identifier keeps, whichever model is behind it."""

import random
import unicodedata
from pathlib import Path

import pytest

from conan_data.classifier.fit import cleared_memory
from conan_data.errors import UserError
from conan_data.language.guess import NO_GUESS, NO_LANGUAGE, Identifier
from conan_data.language.identify import identify, load_identifier

WORDS = {
    "eng_Latn": "the cat and dog were walking through an old garden while children played near their house",
    "spa_Latn": "el gato y perro caminaban por un jardín viejo mientras los niños jugaban cerca de su casa",
    "deu_Latn": "die Katze und der Hund gingen durch einen alten Garten während Kinder neben ihrem Haus spielten",
    "nob_Latn": "katten og hunden gikk gjennom en gammel hage mens barna lekte i nærheten av huset deres",
    "zho_Hans": "今 天 我 们 去 公 园 散 步 看 见 很 多 美 丽 的 花 朵 孩 子 们 在 草 地 上 快 乐 地 玩 耍",
}
CONFIGURED = ("en", "es", "no", "zh")


def sentence(label: str, rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS[label].split(), k=12))


@pytest.fixture(scope="session")
def fasttext_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that tells five languages apart, with labels in the manner of GlotLID."""
    fasttext = pytest.importorskip("fasttext")
    rng = random.Random(0)
    folder = tmp_path_factory.mktemp("fasttext")
    lines = [f"__label__{label} {sentence(label, rng)}" for _ in range(200) for label in WORDS]
    (folder / "train.txt").write_text("\n".join(lines), encoding="utf-8")
    options = {"dim": 16, "minn": 2, "maxn": 3, "epoch": 20, "lr": 0.2, "thread": 1, "bucket": 20000}
    with cleared_memory():
        model = fasttext.train_supervised(str(folder / "train.txt"), seed=0, verbose=0, **options)
    assert all(model.predict(words)[1][0] > 0.5 for words in WORDS.values())
    model.save_model(str(folder / "model.bin"))
    return folder / "model.bin"


@pytest.fixture(scope="session", params=["langid", "fasttext"])
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "langid":
        return "langid"
    return f"fasttext:{request.getfixturevalue('fasttext_model')}"


@pytest.fixture
def identifier(name: str) -> Identifier:
    return load_identifier(name, CONFIGURED)


@pytest.mark.parametrize(
    ("label", "lang"), [("eng_Latn", "en"), ("spa_Latn", "es"), ("nob_Latn", "no"), ("zho_Hans", "zh")]
)
def test_configured_languages_are_found(identifier: Identifier, label: str, lang: str) -> None:
    guess = identifier.guess(WORDS[label])
    assert (guess.lang, guess.open_lang, guess.agrees) == (lang, lang, True)
    assert 0.4 <= guess.chance <= guess.score <= 1
    assert guess.open_score == pytest.approx(guess.chance)


def test_other_languages_are_named(identifier: Identifier) -> None:
    guess = identifier.guess(WORDS["deu_Latn"])
    assert guess.open_lang == "de" and guess.open_score > 0.4 and not guess.agrees
    verdict = identify(
        WORDS["deu_Latn"], "", identifier=identifier, languages=frozenset(CONFIGURED), min_score=0.4
    )
    assert (verdict.reason, verdict.detail) == ("other-language", "de")


def test_line_ends_are_spaces(identifier: Identifier) -> None:
    text = WORDS["spa_Latn"]
    assert identifier.guess(text.replace(" ", "\n", 3)).lang == "es"
    assert identifier.guess(text + "\n\n").lang == "es"


@pytest.mark.parametrize(("label", "lang"), [("eng_Latn", "en"), ("spa_Latn", "es"), ("nob_Latn", "no")])
def test_capitals_and_decomposed_accents_are_the_same_language(
    identifier: Identifier, label: str, lang: str
) -> None:
    text = WORDS[label]
    forms = [
        text.upper(),
        f"{text.upper()} a",
        f"{text.upper()} İ",
        text.title(),
        unicodedata.normalize("NFD", text),
    ]
    forms.append(unicodedata.normalize("NFD", text.upper()))
    for form in forms:
        found = identifier.guess(form)
        assert (found.lang, found.open_lang) == (lang, lang) and found.chance > 0.4, form
    assert identifier.guess(forms[-1]) == identifier.guess(forms[0])


def test_long_decomposed_text_is_sampled_as_the_composed_one_is(identifier: Identifier) -> None:
    options = {"identifier": identifier, "languages": frozenset(CONFIGURED), "min_score": 0.4}
    text = "ñáéíóú " * 700 + (WORDS["spa_Latn"] + " ") * 9 + (WORDS["nob_Latn"] + " ") * 99
    assert identify(unicodedata.normalize("NFD", text), "", **options) == identify(text, "", **options)


@pytest.mark.parametrize("text", ["", "123", " \n", "!!!", "12.5 %", "— 7 —", "１２３。"])
def test_a_text_that_says_nothing_is_no_language(name: str, text: str) -> None:
    for languages in (["en"], CONFIGURED, ("de",)):
        identifier = load_identifier(name, languages)
        assert identifier.guess(text) == NO_GUESS
        verdict = identify(text, "", identifier=identifier, languages=frozenset(languages), min_score=0.0)
        assert (verdict.lang, verdict.reason) == ("", "no-language")


def test_guesses_are_the_same_again(name: str) -> None:
    texts = [*WORDS.values(), "", "a", "\n", "ᏣᎳᎩ", WORDS["eng_Latn"].upper()]
    first, second = load_identifier(name, CONFIGURED), load_identifier(name, CONFIGURED)
    assert [first.guess(text) for text in texts] == [second.guess(text) for text in reversed(texts)][::-1]


def test_nothing_is_no_language(identifier: Identifier) -> None:
    assert identifier.guess("") == identifier.guess(" \n ") == NO_GUESS
    assert NO_LANGUAGE not in identifier.known


def test_known_are_labels_after_merging(identifier: Identifier) -> None:
    assert identifier.known >= {*CONFIGURED, "de"}


def test_unknown_language_names_the_nearest(name: str) -> None:
    with pytest.raises(UserError, match=r"^languages: 'eng' is no language .* nearest are en, .*$") as caught:
        load_identifier(name, ["de", "eng"])
    assert len(str(caught.value)) < 120


def test_scripts_of_chinese_are_known_as_chinese(name: str) -> None:
    assert load_identifier(name, ["zh-Hans", "zh-Hant"]).guess(WORDS["zho_Hans"]).lang == "zh"


def test_model_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"identifier: .*none\.bin does not exist"):
        load_identifier(f"fasttext:{tmp_path / 'none.bin'}", ["en"])


@pytest.mark.parametrize("content", [b"", b"no model at all" * 100])
def test_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"^identifier: .*model\.bin is no fastText model of languages \(.*\)$"
    ):
        load_identifier(f"fasttext:{path}", ["en"])


def test_model_of_word_vectors_is_refused(tmp_path: Path) -> None:
    fasttext = pytest.importorskip("fasttext")
    (tmp_path / "text.txt").write_text("the cat and the dog\n" * 50)
    model = fasttext.train_unsupervised(
        str(tmp_path / "text.txt"), dim=4, bucket=100, epoch=1, thread=1, verbose=0
    )
    model.save_model(str(tmp_path / "vectors.bin"))
    with pytest.raises(UserError, match="is no fastText model of languages"):
        load_identifier(f"fasttext:{tmp_path / 'vectors.bin'}", ["en"])


def test_model_that_knows_none_of_the_languages(fasttext_model: Path) -> None:
    with pytest.raises(UserError, match=r"knows none of the languages ja, ko; its labels are such as"):
        load_identifier(f"fasttext:{fasttext_model}", ["ko", "ja"])
