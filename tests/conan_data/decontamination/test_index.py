"""Recall on planted leaks, and false alarms on clean rows, of the methods that compare characters."""

import random
import unicodedata

import numpy as np
import pyarrow as pa
import pytest

from conan_data.decontamination.index import EXACT, METHODS, NEAR, NGRAM, TextIndex, comparable
from conan_data.decontamination.information import UnitCounts
from conan_data.decontamination.postings import Postings, paired, unpaired
from tests.conan_data.decontamination.planted import KINDS, leaks, text

NUM_CLEAN = 10_000


def index_of(texts: list[str], scored: bool = True) -> TextIndex:
    return TextIndex(
        pa.chunked_array([pa.array(texts, pa.large_string())]),
        np.full(len(texts), scored),
        ngram=13,
        containment=0.5,
        near=0.7,
    )


def found(index: TextIndex, texts: list[str]) -> dict[tuple[int, int], str]:
    matches = index.match([comparable(text) for text in texts])
    return {
        (place, own): METHODS[method]
        for place, own, method in zip(
            matches.places.tolist(), matches.evaluations.tolist(), matches.methods.tolist()
        )
    }


@pytest.fixture(scope="module")
def recall() -> dict[str, float]:
    draw = random.Random(3)
    sources = [text(draw) for _ in range(300)] + [text(draw, low=26, high=80) for _ in range(300)]
    index = index_of(sources)
    hits: dict[str, list[bool]] = {}
    planted = [
        (kind, place, leak) for place, source in enumerate(sources) for kind, leak in leaks(source, draw)
    ]
    matches = found(index, [leak for _, _, leak in planted])
    for number, (kind, place, _) in enumerate(planted):
        hits.setdefault(kind, []).append((number, place) in matches)
    return {kind: float(np.mean(own)) for kind, own in hits.items()}


@pytest.mark.parametrize("kind", KINDS["exact"])
def test_every_exact_leak_is_found(kind: str, recall: dict[str, float]) -> None:
    assert recall[kind] == 1.0


@pytest.mark.parametrize("kind", KINDS["ngram"])
def test_every_text_inside_another_one_is_found(kind: str, recall: dict[str, float]) -> None:
    assert recall[kind] >= 0.99


@pytest.mark.parametrize(
    ("kind", "least"),
    [("typo", 0.97), ("dropped", 0.95), ("added", 0.98), ("swapped", 0.95), ("punctuation", 1.0)],
)
def test_near_leaks_are_found(kind: str, least: float, recall: dict[str, float]) -> None:
    assert recall[kind] >= least


def test_clean_rows_raise_no_alarm() -> None:
    draw = random.Random(4)
    index = index_of([text(draw) for _ in range(2000)] + [text(draw, low=26, high=80) for _ in range(500)])
    clean = [text(draw, low=8, high=80) for _ in range(NUM_CLEAN)]
    assert len({place for place, _ in found(index, clean)}) == 0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("STRASSE nach Ｔokyo ﬁnden", "strasse nach tokyo finden"),
        ("Cafe\u0301 au lait", "CAFÉ  au\nlait"),
        ("İzmir nerede", unicodedata.normalize("NFKD", "İzmir nerede").lower()),
        ("が見える　山", "か\u3099見える 山"),
        ("ｶﾞｲﾄﾞ", "ガイド"),
        ("Straße", "STRASSE"),
    ],
)
def test_equal_but_for_compatibility_case_and_space(ours: str, theirs: str) -> None:
    assert found(index_of([theirs]), [ours]) == {(0, 0): "exact"}


def test_a_space_inside_of_a_word_is_a_near_duplicate() -> None:
    assert found(index_of(["in formation"]), ["information"]) == {(0, 0): METHODS[NEAR]}


def test_scripts_without_spaces_are_compared_by_characters() -> None:
    index = index_of(["東京都の人口は千四百万人を超え、日本の都道府県で最も多いとされている。"])
    assert found(
        index, ["ある本によると東京都の人口は千四百万人を超え、日本の都道府県で最も多いという説。"]
    ) == {(0, 0): METHODS[NGRAM]}
    assert found(index_of(["日本の首都はどこにありますか"]), ["日本の首都はどこにあるますか"]) == {
        (0, 0): METHODS[NEAR]
    }
    assert found(index_of(["日本の首都はどこにありますか"]), ["大阪城は誰がいつ建てたのですか"]) == {}


def test_a_new_question_is_no_near_duplicate() -> None:
    index = index_of(["who won the world cup in the year 1990"])
    assert (
        found(index, ["who won the world cup in the year 1994", "who won the stanley cup in the summer"])
        == {}
    )
    assert found(index, ["who won teh world cup in the year 1990"]) == {(0, 0): METHODS[NEAR]}


def test_containment_is_of_the_shorter_text() -> None:
    words = [f"w{number}" for number in range(60)]
    index = index_of([" ".join(words)])
    # 60 words have 48 13-grams; 36 of them 24, of which 13 stand in 25 words.
    assert found(index, [" ".join(words[:25] + [f"v{number}" for number in range(11)])]) == {
        (0, 0): METHODS[NGRAM]
    }
    assert found(index, [" ".join(words[:23] + [f"v{number}" for number in range(13)])]) == {}


def test_texts_that_nobody_is_scored_on_are_compared_for_equality_alone() -> None:
    index = index_of(["a passage of nine words that is in both"], scored=False)
    assert found(index, ["A passage of nine words that is in both"]) == {(0, 0): METHODS[EXACT]}
    assert found(index, ["A passage of nine wards that is in both"]) == {}


def test_postings_equal_a_dictionary() -> None:
    draw = np.random.default_rng(1)
    hashes = draw.integers(0, 200, 1000).astype(np.uint64)
    owners = draw.integers(0, 1000, 1000)
    known: dict[int, list[int]] = {}
    for value, owner in sorted(zip(hashes.tolist(), owners.tolist())):
        known.setdefault(value, []).append(owner)
    wanted = draw.integers(0, 400, 500).astype(np.uint64)
    expected = [(p, o) for p, value in enumerate(wanted.tolist()) for o in known.get(value, [])[:4]]
    places, own = Postings(hashes, owners, most=4).find(wanted)
    assert list(zip(places.tolist(), own.tolist())) == expected
    again = unpaired(paired(places, own))
    assert (again[0] == places).all() and (again[1] == own).all()
    none = np.zeros(0, np.uint64)
    assert [len(part) for part in Postings(none, none, most=4).find(wanted)] == [0, 0]


def test_common_words_say_less_than_rare_ones() -> None:
    draw = random.Random(6)
    units = UnitCounts()
    units.add([f"what is it that {text(draw)}" for _ in range(2000)] + ["the capital of france"])
    units.add(["这个东西是什么" + str(number) for number in range(500)])
    bits = {name: units.bits(name) for name in ("yes", "what is it", "the capital of france", "？", "是什么")}
    assert bits["what is it"] < UnitCounts().bits("what is it") < 24
    assert bits["yes"] < 24 < bits["the capital of france"]
    assert bits["？"] == 0 and bits["是什么"] < 24


def test_repeated_words_say_nothing_new() -> None:
    units = UnitCounts()
    assert units.bits("ha ha ha ha ha") == units.bits("ha")
