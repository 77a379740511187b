import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conan_data.corpus.dedup.shingles import exact_hash, jaccard, ngram_hashes, shingles, unit_hashes
from conan_data.text.characters import characters

MIXED = st.text(alphabet="ab cdé,.日本語ไทย1", max_size=60)


def plain_units(text: str) -> list[str]:
    """Units as a regular expression has them."""
    return re.findall(r"[日本語ไทย]|[a-zé1]+", text.casefold())


def plain_shingles(text: str, ngram: int) -> set[tuple[str, ...]]:
    units = plain_units(text)
    return {tuple(units[start : start + ngram]) for start in range(len(units) - ngram + 1)}


@given(MIXED)
def test_units_are_equal_when_their_letters_are(text: str) -> None:
    hashes, units = unit_hashes(characters(text)), plain_units(text)
    assert len(hashes) == len(units)
    assert len(set(hashes.tolist())) == len(set(units))


@given(MIXED, MIXED, st.integers(1, 4))
def test_similarity_is_that_of_sets_of_tuples(left: str, right: str, ngram: int) -> None:
    plain = [plain_shingles(text, ngram) for text in (left, right)]
    hashed = [shingles(text, ngram) for text in (left, right)]
    assert [len(found) for found in hashed] == [len(found) for found in plain]
    if plain[0] | plain[1]:
        assert jaccard(*hashed) == pytest.approx(len(plain[0] & plain[1]) / len(plain[0] | plain[1]))


def test_order_of_units_counts() -> None:
    units = np.array([1, 2, 3], dtype=np.uint64)
    assert ngram_hashes(units, 3) != ngram_hashes(units[::-1], 3)


def test_case_punctuation_and_space_do_not_count() -> None:
    assert (shingles("One two, three four five!", 5) == shingles("one  TWO three\nfour-five", 5)).all()


def test_scripts_without_spaces_have_shingles() -> None:
    assert len(shingles("猫整个下午都睡在窗台上", 5)) == 7


def test_short_texts_have_none() -> None:
    assert len(shingles("only four words here", 5)) == 0
    assert len(shingles("", 5)) == 0


def test_exact_hash_ignores_case_and_space_only() -> None:
    assert exact_hash("One  two\n") == exact_hash("one TWO")
    assert exact_hash("one two") != exact_hash("one, two")
