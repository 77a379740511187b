"""Leaks that an encoder finds: on made-up vectors, and by hand (`-m slow`) with e5-small on real sets."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from conan_data.decontamination.config import NeighboursConfig
from conan_data.decontamination.neighbours import Centre, Neighbours
from conan_data.decontamination.rows import Text
from tests.benchmarks.decontaminate import evaluation_of, measure_encoder

SHARED = Path(__file__).parents[4] / "shared"
MODEL = Path(__file__).parents[4] / "models" / "e5-small"


class Subjects:
    """An encoder of texts `subject@lang`: the language weighs three times as much as the subject."""

    fingerprint, dimension = "subjects", 64

    def encode(self, texts: Sequence[str], *, kind: str) -> np.ndarray:
        del kind
        found = []
        for text in texts:
            subject, _, lang = text.partition("@")
            own = np.random.default_rng(int(subject)).normal(size=self.dimension)
            language = np.random.default_rng(len(lang) + sum(map(ord, lang))).normal(size=self.dimension)
            vector = own / np.linalg.norm(own) + 3 * language / np.linalg.norm(language)
            found.append(vector / np.linalg.norm(vector))
        return np.array(found, np.float32)


def texts(subjects: Sequence[int], lang: str, part: str = "query") -> list[Text]:
    return [Text(part, ("query", f"{n}{lang}"), f"{n}@{lang}", lang, Path(), n) for n in subjects]


def neighbours(training: list[Text], *, centre: bool = True) -> Neighbours:
    evaluation = evaluation_of([(f"{n}@en", "en") for n in range(200)])
    return Neighbours(Subjects(), NeighboursConfig(model="x", centre=centre), evaluation, training)


def found(own: Neighbours, asked: list[Text]) -> set[tuple[int, int]]:
    matches = own.match(asked)
    return set(zip(matches.places.tolist(), matches.evaluations.tolist()))


def test_translations_are_found_and_other_subjects_are_not() -> None:
    leaking, clean = texts(range(100), "de"), texts(range(1000, 1200), "de")
    own = neighbours([*leaking, *clean])
    assert found(own, leaking) == {(place, place) for place in range(100)}
    assert found(own, clean) == set()
    assert found(own, texts(range(100), "de", part="document")) == set()


def test_without_centring_the_language_decides() -> None:
    own = neighbours([], centre=False)
    assert found(own, texts(range(100), "de")) == set()
    assert len(found(own, texts(range(1000, 1010), "en"))) > 10


def test_a_language_of_few_texts_has_the_mean_of_all() -> None:
    vectors = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    centre = Centre.of(vectors, ["de"] * 55 + ["fr"] * 5)
    assert set(centre.means) == {"", "de"}
    rest = centre.subtract(vectors[55:], ["fr"] * 5)
    expected = vectors[55:] - vectors.mean(axis=0)
    assert np.allclose(rest, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED.is_dir() and MODEL.is_dir()), reason="needs ../shared and ../models/e5-small")
def test_translated_and_paraphrased_leaks_of_real_sets() -> None:
    figures = measure_encoder(SHARED, str(MODEL))
    assert figures["translated"] >= 0.6 and figures["paraphrased"] >= 0.85
    assert figures["false_translated"] <= 0.02 and figures["false_paraphrased"] <= 0.01
