"""The compiled and the numpy path say the same, and both what plain Python says."""

import builtins
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conan_data.corpus.dedup import arrays, kernels, shingles
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.minhash import MinHash
from conan_data.text.characters import DIGIT, LETTER, UNSPACED, kinds

SAMPLES = (
    "The Quick brown-fox, don't; ÄÖß ẞ ﬁ İıſ Straße ΣΑΣ Привет МИР",
    "中文没有空格，但是有标点。日本語のテキスト ｶﾀｶﾅ 々〆 ㄅㄆ 繁體字",
    "ภาษาไทย ลาว ພາສາລາວ བོད་སྐད မြန်မာ ភាសាខ្មែរ",
    "مرحبا بالعالم هَذَا نَصّ עברית हिन्दी में தமிழ் বাংলা",
    "안녕 세계 한국어 각",
    "😀👩‍👩‍👧🇩🇪 𝒳𝓎 𠀀𠀁𪛖 𞤀𞤢 𐐀𐐨 ꭰᎠ",
    "é́ x\u0301\u0302y \u200d\u200c\u00a0\u2003\u3000\x85\x1c\t\r\n\0",
    " 0123 ٠١٢ Ⅷ ½ ² _-*",
)
TEXT = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from([*"".join(SAMPLES), *SAMPLES]), max_size=60).map("".join),
    st.text(alphabet="ab ,日", max_size=60),
)
FAMILY = MinHash.from_config(DedupConfig(num_bands=4, rows_per_band=3, ngram=3))
MANY = settings(max_examples=200, deadline=None)
PARAMETERS = FAMILY.factors, FAMILY.summands, FAMILY.num_bands


def same(left: arrays.Fingerprints, right: arrays.Fingerprints) -> bool:
    return all((getattr(left, name) == getattr(right, name)).all() for name in ("exact", "keys", "has_keys"))


def plain_exact(text: str) -> str:
    folded = (next((form for form in (c.casefold(), c.lower()) if len(form) == 1), c) for c in text)
    return " ".join("".join(folded).split())


def plain_units(text: str) -> list[str]:
    units, in_word = [], False
    for char in plain_exact(text):
        kind = kinds()[ord(char)]
        if kind == UNSPACED or (kind in (LETTER, DIGIT) and not in_word):
            units.append("")
        if kind in (LETTER, DIGIT, UNSPACED):
            units[-1] += char
        in_word = kind in (LETTER, DIGIT)
    return units


@MANY
@given(st.lists(TEXT, max_size=6), st.integers(1, 6))
def test_both_paths_give_the_same_fingerprints(texts: list[str], ngram: int) -> None:
    assert same(
        kernels.fingerprints(texts, *PARAMETERS, ngram), arrays.fingerprints(texts, *PARAMETERS, ngram)
    )


@MANY
@given(TEXT, st.integers(1, 6))
def test_both_paths_give_the_same_shingles_and_exact_hash(text: str, ngram: int) -> None:
    found = kernels.shingles(text, ngram)
    assert found.dtype == np.uint64
    assert found.tolist() == arrays.shingles(text, ngram).tolist()
    assert kernels.exact_hash(text) == arrays.exact_hash(text)
    assert len(kernels.exact_hash(text)) == 16


@MANY
@given(st.lists(TEXT, max_size=8), st.integers(1, 4))
def test_sets_of_many_texts_are_those_of_each(texts: list[str], ngram: int) -> None:
    data = np.frombuffer("".join(texts).encode(), dtype=np.uint8)
    offsets = np.cumsum([0, *(len(text.encode()) for text in texts)])
    for path in (kernels, arrays):
        found = path.shingle_sets(data, offsets, ngram)
        assert len(found) == len(texts)
        for text, start, stop in zip(texts, found.ends, found.ends[1:]):
            assert found.values[start:stop].tolist() == arrays.shingles(text, ngram).tolist()


@MANY
@given(st.lists(st.text(max_size=6), max_size=20))
def test_both_paths_give_the_same_hashes_of_bytes(strings: list[str]) -> None:
    encoded = [string.encode() for string in strings]
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    found = kernels.byte_hashes(data, offsets)
    assert found.tolist() == arrays.byte_hashes(data, offsets).tolist()
    assert len({*map(tuple, found.tolist())}) == len(set(strings))


@pytest.mark.parametrize("path", [kernels, arrays])
@MANY
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5), st.integers(1, 3)), max_size=40))
def test_equal_hashes_are_counted_and_found(path: shingles.Hasher, rows: list[tuple[int, int, int]]) -> None:
    """Also those that take the same place of a table."""
    rows = [(value << 32, first, count) for value, first, count in rows]
    hashes, firsts, counts = np.array(rows, dtype=np.int64).reshape(-1, 3).T.copy()
    hashes = hashes.astype(np.uint64)
    codes = path.codes(hashes)
    assert sorted(set(codes.tolist())) == list(range(len(set(hashes.tolist()))))
    assert len(set(zip(hashes.tolist(), codes.tolist()))) == len(set(hashes.tolist()))
    found = zip(*(column.tolist() for column in path.tally(hashes.copy(), firsts.copy(), counts.copy())))
    expected = {
        (value, min(f for v, f, _ in rows if v == value), sum(c for v, _, c in rows if v == value))
        for value, _, _ in rows
    }
    assert sorted(found) == sorted(expected)
    known = np.unique(hashes)[::-1][1:].copy()
    places = path.find(known, hashes)
    assert (places < 0).tolist() == [value not in known for value in hashes]
    assert (known[places[places >= 0]] == hashes[places >= 0]).all()


@pytest.mark.parametrize("num_words", [1, 3, 70, 5000, 300_000])
def test_repeated_and_many_shingles_are_sorted(num_words: int) -> None:
    text = " ".join(map(str, np.random.default_rng(num_words).integers(0, num_words, 300_000)))
    assert (kernels.shingles(text, 1) == arrays.shingles(text, 1)).all()


@MANY
@given(TEXT, TEXT, st.integers(1, 4))
def test_similarity_is_that_of_sets_of_tuples(left: str, right: str, ngram: int) -> None:
    plain = []
    for text in (left, right):
        units = plain_units(text)
        plain.append({tuple(units[at : at + ngram]) for at in range(len(units) - ngram + 1)})
    if not plain[0] | plain[1]:
        return
    expected = len(plain[0] & plain[1]) / len(plain[0] | plain[1])
    for path in (kernels, arrays):
        assert path.jaccard(path.shingles(left, ngram), path.shingles(right, ngram)) == pytest.approx(
            expected
        )


@MANY
@given(TEXT, TEXT)
def test_exact_hash_is_equal_where_case_and_space_alone_differ(left: str, right: str) -> None:
    assert (kernels.exact_hash(left) == kernels.exact_hash(right)) == (
        plain_exact(left) == plain_exact(right)
    )
    spaced = "\u2003 " + left.replace(" ", "\n\t ") + "\r\n"
    assert kernels.exact_hash(spaced) == kernels.exact_hash(left)


def test_no_two_similar_texts_have_one_exact_hash() -> None:
    texts = {f"{a}{gap}{b}{c}" for a in "abc1,日" for b in "abc1,日" for c in "abc1,日" for gap in ("", " ")}
    assert len({kernels.exact_hash(text) for text in texts}) == len(texts)


def test_band_keys_are_those_of_the_shingles() -> None:
    text = " ".join(SAMPLES)
    assert (FAMILY.band_keys_of(text) == FAMILY.band_keys(shingles.shingles(text, FAMILY.ngram))).all()
    assert FAMILY.band_keys_of("two words") is None


@pytest.mark.parametrize("filler", ["word ", "日本", "é", "😀", " \n", "Ab1,"])
def test_long_texts_are_taken_in_blocks(filler: str) -> None:
    """Blocks that end inside a word, inside white space, or between letters that are units."""
    numbers = np.random.default_rng(0).integers(0, 50, 30_000)
    text = "".join(filler + (str(number) if number < 25 else " ") for number in numbers)
    assert len(text) > arrays.BLOCK > kernels.BLOCK
    texts = ["short one, before it", text, "and one after it"]
    compiled = kernels.fingerprints(texts, *PARAMETERS, 3)
    assert same(compiled, arrays.fingerprints(texts, *PARAMETERS, 3))
    assert kernels.shingles(text, 3).tolist() == arrays.shingles(text, 3).tolist()
    again = kernels.fingerprints([text], *PARAMETERS, 3)
    assert (compiled.keys[1] == again.keys[0]).all()
    assert (compiled.keys[1] == FAMILY.band_keys(kernels.shingles(text, 3))).all()


@pytest.mark.parametrize("shift", [-2, -1, 0, 1, 2])
def test_a_word_across_two_blocks_of_letters(shift: int) -> None:
    text = "語" * (kernels.BLOCK - 1 + shift) + "ab" + "語" * 2 * kernels.BLOCK
    for ngram in (1, 5):
        assert kernels.shingles(text, ngram).tolist() == arrays.shingles(text, ngram).tolist()
        assert same(*(path.fingerprints([text], *PARAMETERS, ngram) for path in (kernels, arrays)))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see peak memory")
@pytest.mark.parametrize("path", ["kernels", "arrays"])
def test_a_long_text_costs_no_more_than_its_bytes(path: str) -> None:
    code = f"""
import re
from pathlib import Path
import numpy as np
from conan_data.corpus.dedup import {path} as path
parameters = np.ones(4, np.uint32), np.ones(4, np.uint32), 2, 5
path.fingerprints(["some words to begin with " * 100] * 100, *parameters)
text = "Wörter und 中文 , " * 2_000_000
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
before = peak()
path.fingerprints([text], *parameters)
print(len(text.encode()) >> 20, peak() - before)
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    size, grown = map(int, output.split())
    assert size > 35
    assert grown < size + 16


def test_without_numba_numpy_hashes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = builtins.__import__

    def refusing(name: str, *args: object, **kwargs: object) -> object:
        if name.split(".")[0] == "numba":
            raise ImportError("no numba here")
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    expected = FAMILY.band_keys_of(SAMPLES[0])
    shingles.hasher.cache_clear()
    monkeypatch.delitem(sys.modules, "conan_data.corpus.dedup.kernels")
    monkeypatch.delattr("conan_data.corpus.dedup.kernels")
    monkeypatch.setattr(builtins, "__import__", refusing)
    try:
        assert shingles.hasher() is arrays
        assert (FAMILY.band_keys_of(SAMPLES[0]) == expected).all()
    finally:
        shingles.hasher.cache_clear()
    assert "no numba here" in caplog.text
