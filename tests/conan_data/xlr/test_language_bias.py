"""Language bias: figures by hand, and vectors whose bias is known."""

import numpy as np
import polars as pl
import pytest

from conan_data.retrieval import read_retrieval
from conan_data.xlr.language_bias import Pool, language_bias
from conan_data.xlr.pools import document_pool, version_pool


def pool(languages, sources):
    languages, sources = np.array(languages), np.array(sources)
    texts = [f"{source} {language}" for source, language in zip(sources, languages, strict=True)]
    relevant = [
        np.flatnonzero((sources == source) & (np.arange(len(sources)) != row))
        for row, source in enumerate(sources)
    ]
    return Pool(texts, languages, texts, languages, relevant, np.arange(len(texts)))


def test_figures_by_hand():
    # Angles on a circle: a de 0°, a fr 50°, b de 10°, b fr 60°: the nearest of each is in its own language.
    angles = np.radians([0.0, 50.0, 10.0, 60.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = language_bias(vectors, vectors, pool(["de", "fr", "de", "fr"], ["a", "a", "b", "b"]), k=1)
    assert found["queries"] == found["texts"] == 4
    # a de: b de is nearer than a fr; a fr: b fr (10°) than a de; b de: a de than b fr; b fr: a fr than b de.
    assert found["plain"]["found"] == 0.0
    assert found["plain"]["found_by_direction"] == {"de": {"fr": 0.0}, "fr": {"de": 0.0}}
    assert found["plain"]["same_language"] == 1.0
    assert found["plain"]["fair_share"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["plain"]["bias"] == 3.0
    # Without the means, of 5° and 55°, what is left are the steps from a to b, the same in both languages.
    assert found["centred"]["found"] == 1.0
    assert found["centred"]["same_language"] == 0.0


def test_relevant_texts_do_not_push_each_other_out():
    vectors = np.tile(np.eye(2), (1, 1))[[0] * 8 + [1]]
    languages = [*"abcdefgh", "a"]
    found = language_bias(vectors, vectors, pool(languages, ["x"] * 8 + ["y"]), k=1)
    assert found["plain"]["found"] == 1.0


def test_an_offset_by_language_is_seen_and_subtracted():
    generator = np.random.default_rng(0)
    topics = generator.normal(size=(60, 32))
    offsets = 3 * generator.normal(size=(4, 32))
    vectors = (topics[:, None] + offsets[None] + 0.1 * generator.normal(size=(60, 4, 32))).reshape(240, 32)
    given = pool(list("abcd") * 60, np.repeat(np.arange(60), 4))
    found = language_bias(vectors, vectors, given, k=5)
    assert found["plain"]["bias"] > 3.5 and found["plain"]["found"] < 0.5
    assert found["centred"]["found"] > 0.99 and found["centred"]["bias"] < 1.0
    unbiased = language_bias(topics.repeat(4, axis=0), topics.repeat(4, axis=0), given, k=60)
    assert unbiased["plain"]["bias"] == pytest.approx(1.0, abs=0.1)


def test_a_language_without_texts_has_no_bias():
    vectors = np.eye(3)
    given = Pool(["q"], np.array(["de"]), ["a", "b", "c"], np.array(["en"] * 3), [np.array([0])])
    found = language_bias(vectors[:1], vectors, given, k=5)["plain"]
    assert (found["found"], found["same_language"], found["fair_share"], found["bias"]) == (
        1.0,
        0.0,
        0.0,
        None,
    )


def test_pools_of_a_set(retrieval_set):
    split = read_retrieval(retrieval_set, "train", group_regex="^(.*)@")
    given = document_pool(split, sample=3, documents=100)
    assert len(given.queries) == 3 and len(given.texts) == split.corpus.num_rows
    texts = [f"{row['title']} {row['text']}".strip() for row in split.corpus.to_pylist()]
    assert sorted(given.texts) == sorted(texts)
    small = document_pool(split, sample=3, documents=1)
    assert len(small.texts) == len({row for rows in small.relevant for row in rows.tolist()})
    assert [[small.texts[row] for row in rows] for rows in small.relevant] == [
        [given.texts[row] for row in rows] for rows in given.relevant
    ]


def test_versions_are_sampled_by_their_source():
    rows = [(f"text {i} {language}", language, f"q{i}") for i in range(50) for language in ("de", "fr")]
    frame = pl.DataFrame(
        [*rows, ("alone", "de", "alone")], schema=["text", "lang", "source_id"], orient="row"
    )
    given = version_pool(frame, sample=10)
    assert given is not None and len(given.texts) == 20
    for row, relevant in enumerate(given.relevant):
        (other,) = relevant.tolist()
        assert given.texts[row].split()[1] == given.texts[other].split()[1]
        assert given.query_languages[row] != given.text_languages[other]
    again = version_pool(pl.concat([frame.reverse(), frame.head(0)]), sample=10)
    assert again is not None and sorted(again.texts) == sorted(given.texts)
    assert version_pool(frame.filter(pl.col("lang") == "de"), sample=10) is None
