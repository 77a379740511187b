import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conan_data.language.guess import NO_GUESS
from conan_data.language.langid import KernelModel, LangidIdentifier, Model, PackageModel, load_model
from conan_data.readers import Row, read_rows

CORPUS = Path(__file__).parents[3] / ".." / "shared" / "data" / "corpus"
TEXTS = [
    "ذهبت إلى السوق صباح اليوم واشتريت الخضروات والفواكه الطازجة لعائلتي.",
    "This morning I went to the market and bought fresh vegetables for my family.",
    "THIS MORNING I WENT TO THE MARKET",
    "Esta mañana fui al mercado y compré verduras frescas para mi familia.",
    "Cafe\u0301 au lait",
    "今朝は市場へ行って、家族のために新鮮な野菜を買いました。",
    "今天早上我去了市场，给家人买了新鲜的蔬菜。" * 40,
    "Jutros sam otišao na pijacu i kupio svježe povrće za svoju porodicu.",
    "Сьогодні вранці я пішов на ринок і купив свіжі овочі для своєї родини.",
    *("The market"[:length] for length in range(5, 11)),
    *("a b" * length for length in range(5, 14)),
    "lone \ud800 surrogate",
]


def stock() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@pytest.fixture(scope="module")
def exact() -> Any:
    """py3langid with its weights in float64: its own float32 sums are off by up to 1e-4 on long texts."""
    model = stock()
    model.nb_ptc, model.nb_pc = model.nb_ptc.astype(np.float64), model.nb_pc.astype(np.float64)
    return model


def probabilities(model: Model, text: str) -> dict[str, float]:
    labels = list(dict.fromkeys(model.labels))
    groups = np.array([labels.index(label) for label in model.labels], dtype=np.int64)
    sums = np.zeros(len(labels))
    model.best(text, groups, len(labels), sums)
    return dict(zip(labels, sums.tolist(), strict=True))


def ranking(chances: dict[str, float]) -> list[str]:
    """Labels that matter, best first; those of equal probability by name."""
    return sorted(
        (label for label in chances if chances[label] > 1e-5), key=lambda x: (-round(chances[x], 5), x)
    )


@pytest.mark.parametrize("text", TEXTS)
def test_probabilities_are_the_packages(exact: Any, text: str) -> None:
    model = load_model()
    assert isinstance(model, KernelModel)
    ours, theirs = probabilities(model, text), dict(exact.rank(text))
    assert max(theirs.values()) > 0.01
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert ranking(ours) == ranking(theirs)


@pytest.mark.skipif(not CORPUS.exists(), reason="../shared/data/corpus is not there")
@pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.slow)])
def test_probabilities_on_real_pages_are_the_packages(exact: Any, step: int) -> None:
    model = load_model()
    texts = [
        row.values["text"]
        for path in sorted(CORPUS.glob("*.zst"))
        for number, row in enumerate(read_rows(path))
        if number % step == 0 and isinstance(row, Row)
    ]
    assert len(texts) > 500
    for text in texts:
        ours, theirs = probabilities(model, text), dict(exact.rank(text))
        assert max(abs(ours[label] - theirs[label]) for label in theirs) < 1e-5
        assert max(ours, key=ours.__getitem__) == max(theirs, key=theirs.__getitem__)


def test_the_package_gives_the_same_guesses_where_numba_is_missing() -> None:
    languages = ["ar", "en", "es", "no", "zh"]
    ours, packages = LangidIdentifier(languages), LangidIdentifier(languages, PackageModel(stock()))
    for text in [*TEXTS, "", "123", "OK", "ᏣᎳᎩ", "The"]:
        found, expected = ours.guess(text), packages.guess(text)
        assert (found.lang, found.open_lang) == (expected.lang, expected.open_lang)
        assert found[1] == pytest.approx(expected[1], abs=1e-3)
        assert (found[2], found[4]) == pytest.approx((expected[2], expected[4]), abs=1e-4)


class _Fixed:
    """A model that always answers the same."""

    def __init__(self, **chances: float) -> None:
        self.labels = tuple(chances)
        self._chances = list(chances.values())

    def best(self, text: str, groups: np.ndarray, num_inside: int, sums: np.ndarray) -> Any:
        sums[:] = np.bincount(groups, weights=self._chances, minlength=len(sums))
        inside = sums[:num_inside]
        place, open_place = int(inside.argmax()), int(sums.argmax())
        return place, inside[place], inside.sum(), open_place, sums[open_place]


def test_variants_are_added_up_before_they_are_ranked() -> None:
    model = _Fixed(ja=0.4, zh=0.3, yue=0.2, wuu=0.05, en=0.05)
    guess = LangidIdentifier(["en", "zh"], model).guess("a")
    assert (guess.lang, guess.open_lang) == ("zh", "zh")
    assert guess.chance == pytest.approx(0.55) and guess.score == pytest.approx(0.55 / 0.6)
    apart = LangidIdentifier(["en", "yue", "zh"], model).guess("a")
    assert (apart.lang, apart.open_lang) == ("zh", "ja") and apart.chance == pytest.approx(0.35)


def test_a_text_without_known_letters_is_no_language_even_of_a_single_one() -> None:
    guess = LangidIdentifier(["zh"]).guess("")
    assert guess.lang == "" and not guess.agrees and guess.open_score == 0


@pytest.mark.parametrize("model", [None, "package"])
@pytest.mark.parametrize("languages", [["af"], ["sr"], ["af", "en", "sr"]])
def test_a_text_without_a_known_n_gram_is_no_language(model: str | None, languages: list[str]) -> None:
    identifier = LangidIdentifier(languages, PackageModel(stock()) if model else None)
    assert [identifier.guess(text) for text in ("", "123", "OK", "!!", "a")] == [NO_GUESS] * 5
    assert identifier.guess("Die kat sit op die mat en kyk na die hond.").open_lang == "af"


def test_a_long_text_keeps_its_counts_apart_from_the_next_one() -> None:
    identifier = LangidIdentifier(["en", "es"])
    before = identifier.guess(TEXTS[1])
    identifier.guess(TEXTS[3] * 500)
    assert identifier.guess(TEXTS[1]) == before
    assert math.isfinite(identifier.guess("the " * 300_000).score)
