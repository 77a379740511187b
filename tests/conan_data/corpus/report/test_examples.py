import random
from collections import Counter

import numpy as np

from conan_data.corpus.report import examples
from conan_data.corpus.report.examples import KEPT, MOST, SHOWN, Examples, place_hash, place_hashes


def offer(chosen, number, *, stage="rules", reason="too-short", lang="en", text="text"):
    chosen.offer(
        stage, reason, lang=lang, file=f"f{number % 3}", place=number, id=f"d{number}", detail="", text=text
    )


def test_the_choice_does_not_depend_on_the_cut_or_the_order(tmp_path):
    numbers = list(range(3000))
    whole = Examples()
    for number in numbers:
        offer(whole, number)
    for num_parts in (2, 8):
        random.Random(num_parts).shuffle(numbers)
        paths = []
        for part in range(num_parts):
            chosen = Examples()
            for number in numbers[part::num_parts]:
                offer(chosen, number)
            paths.append(tmp_path / f"{part}.parquet")
            examples.write(paths[-1], chosen.sorted())
        assert examples.merge(reversed(paths)).sorted() == whole.sorted()
    smallest = sorted(range(3000), key=lambda number: place_hash(f"f{number % 3}", number))[:MOST]
    assert [example.id for example in whole.sorted()] == [f"d{number}" for number in smallest]


def test_the_choice_is_spread_over_the_input():
    chosen = Examples()
    for number in range(100_000):
        offer(chosen, number)
    places = [example.place for example in chosen.sorted()]
    assert len({place // 10_000 for place in places}) >= 7
    assert len({example.file for example in chosen.sorted()}) == 3
    bits = Counter(bit for place in range(4000) for bit in range(64) if place_hash("f", place) >> bit & 1)
    assert all(1800 < bits[bit] < 2200 for bit in range(64))


def test_each_reason_and_each_language_that_is_kept_has_its_own():
    chosen = Examples()
    for number in range(900):
        offer(chosen, number, reason=("too-short", "few-letters")[number % 2], lang=("en", "es")[number % 2])
        offer(chosen, number, stage=KEPT, reason="", lang=("en", "es", "zh")[number % 3])
    offer(chosen, 900, stage="read", reason="broken-no-text", lang=None)
    groups = Counter((example.stage, example.reason) for example in chosen.sorted())
    assert groups == {
        ("rules", "too-short"): 20,
        ("rules", "few-letters"): 20,
        (KEPT, ""): 60,
        ("read", "broken-no-text"): 1,
    }
    kept = Counter(example.lang for example in chosen.sorted() if example.stage == KEPT)
    assert kept == {"en": 20, "es": 20, "zh": 20}


def test_wants_says_what_offer_would_take():
    chosen = Examples()
    for number in range(500):
        wanted = chosen.wants("rules", "too-short", "en", f"f{number % 3}", number)
        before = chosen.sorted()
        offer(chosen, number)
        assert wanted == (chosen.sorted() != before)


def test_columns_are_chosen_like_single_documents():
    places = np.random.default_rng(0).permutation(5000)
    files = [f"f{place % 3}" for place in places.tolist()]
    hashes = [place_hash(file, place) for file, place in zip(files, places.tolist(), strict=True)]
    assert place_hashes(files, places).tolist() == hashes
    one_by_one, by_column = Examples(), Examples()
    for place in places.tolist():
        offer(one_by_one, place)
    fetched = 0
    for start in range(0, 5000, 300):
        part = places[start : start + 300]
        for index in by_column.candidates("rules", "too-short", "en", files[start : start + 300], part):
            offer(by_column, int(part[index]))
            fetched += 1
    assert by_column.sorted() == one_by_one.sorted()
    assert fetched < 200


def test_long_and_broken_texts_are_made_fit_to_store(tmp_path):
    chosen = Examples()
    offer(chosen, 1, text="x" * 5000)
    offer(chosen, 2, text="a\ud800b\x00c\x1bd\te\nf")
    examples.write(tmp_path / "one.parquet", chosen.sorted())
    read = {example.id: example for example in examples.read(tmp_path / "one.parquet")}
    assert (read["d1"].text, read["d1"].characters) == ("x" * SHOWN, 5000)
    assert read["d2"].text == "a?b␀c␛d\te\nf"
