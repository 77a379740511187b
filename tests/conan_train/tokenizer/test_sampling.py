import random

import pytest

from conan_train.corpus import hash_place
from conan_train.tokenizer.sampling import HELD_OUT, chosen, quotas


def level_by_bisection(characters: dict[str, int], total: int, exponent: float) -> dict[str, float]:
    """The same law from the other end: find the level at which min(has, level * has ** exponent) adds up to
    `total`.
    """
    low, high = 0.0, 1e12
    for _ in range(200):
        middle = (low + high) / 2
        if sum(min(count, middle * count**exponent) for count in characters.values()) < total:
            low = middle
        else:
            high = middle
    return {lang: min(count, high * count**exponent) for lang, count in characters.items()}


@pytest.mark.parametrize("exponent", [0.0, 0.3, 0.5, 1.0])
def test_quotas_fill_the_total(exponent: float) -> None:
    draw = random.Random(3)
    for _ in range(50):
        characters = {f"l{number}": int(10 ** draw.uniform(0, 7)) for number in range(draw.randint(1, 12))}
        total = int(sum(characters.values()) * draw.uniform(0.05, 0.95))
        taken = quotas(characters, total=total, exponent=exponent)
        assert 0 <= total - sum(taken.values()) <= len(characters)
        for lang, expected in level_by_bisection(characters, total, exponent).items():
            assert taken[lang] == pytest.approx(expected, abs=len(characters) + 1, rel=1e-6)


def test_a_small_corpus_is_taken_whole() -> None:
    assert quotas({"en": 70, "tr": 5, "xx": 0}, total=1000, exponent=0.5) == {"en": 70, "tr": 5}


def test_chosen_is_a_share_of_what_is_not_held_out() -> None:
    places = [place for number in range(20_000) if (place := hash_place(str(number))) >= HELD_OUT]
    first = {place for place in places if chosen(place, 0.2, shift=0.0)}
    other = {place for place in places if chosen(place, 0.2, shift=0.5)}
    assert len(first) == pytest.approx(0.2 * len(places), rel=0.05)
    assert len(other) == pytest.approx(0.2 * len(places), rel=0.05)
    assert not first & other
    assert all(chosen(place, 1.0, shift=0.3) for place in places)
