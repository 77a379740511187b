"""Shares are kept over any stretch, a row follows from its number, and what is repeated is said."""

import logging
from pathlib import Path

import numpy as np
import pytest

from conan_data.errors import UserError
from conan_data.plain_text import Tally
from conan_train.pretrain.mixture import (
    BLOCK,
    MixedRows,
    account,
    make_rows,
    make_strata,
    report,
    rows_per_block,
)
from conan_train.pretrain.packing import Rows
from conan_train.pretrain.tokens import ShardedIds, Tokens

SOURCES, LANGUAGES = ("news", "qa", "web"), ("de", "en")


@pytest.fixture
def tokens() -> Tokens:
    """Every token is the number of its document; web has ten times the tokens of news, qa no German."""
    draw = np.random.default_rng(0)
    sources = np.repeat([0, 1, 2], [30, 20, 300]).astype(np.int32)
    languages = (draw.random(350) < 0.7).astype(np.int32)
    languages[sources == 1] = 1
    lengths = draw.integers(5, 40, 350)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = ShardedIds([np.repeat(np.arange(350), lengths).astype(np.uint16)])
    return Tokens(ids, starts, draw.random(350), languages, LANGUAGES, sources, SOURCES, Tally())


def mixed(tokens: Tokens, *, seed: int = 0, **weights: dict[str, float]) -> MixedRows:
    documents = np.arange(350)
    strata = make_strata(
        tokens, documents, by_source=weights.get("source", {}), by_language=weights.get("language", {})
    )
    rows = make_rows(tokens, strata, length=16, seed=seed)
    assert isinstance(rows, MixedRows)
    return rows


def shares_of(batch_ids: np.ndarray, groups: np.ndarray) -> np.ndarray:
    counts = np.bincount(groups[batch_ids.ravel()], minlength=3)
    return counts / counts.sum()


def test_shares_are_kept_over_any_stretch(tokens: Tokens) -> None:
    rows = mixed(tokens, source={"news": 2, "qa": 1, "web": 1})
    for first, count in ((0, BLOCK), (3 * BLOCK + 17, 2 * BLOCK), (5, 200), (BLOCK - 30, 60)):
        found = shares_of(rows.batch(first, count).ids, tokens.sources)
        assert found == pytest.approx([0.5, 0.25, 0.25], abs=4 / count)


def test_languages_within_a_source(tokens: Tokens) -> None:
    rows = mixed(tokens, source={"news": 1, "*": 1}, language={"de": 3, "en": 1})
    batch = rows.batch(0, BLOCK)
    assert shares_of(batch.ids, tokens.sources) == pytest.approx([1 / 3] * 3, abs=0.01)
    news = batch.ids[tokens.sources[batch.ids] == 0]
    assert (tokens.languages[news] == 0).mean() == pytest.approx(0.75, abs=0.01)
    qa = batch.ids[tokens.sources[batch.ids] == 1]
    assert (tokens.languages[qa] == 1).all(), "a language that a source lacks goes to its others"


def test_languages_alone(tokens: Tokens) -> None:
    rows = mixed(tokens, language={"de": 0, "en": 1})
    batch = rows.batch(0, BLOCK)
    assert (tokens.languages[batch.ids] == 1).all()
    english = tokens.lengths * (tokens.languages == 1)
    # sources keep the share of all their tokens
    expected = [tokens.lengths[tokens.sources == source].sum() for source in range(3)]
    assert english.sum() and shares_of(batch.ids, tokens.sources) == pytest.approx(
        np.array(expected) / sum(expected), abs=0.01
    )


def test_every_row_of_a_stratum_comes_in_its_turn(tokens: Tokens) -> None:
    """Read one by one in any order, rows are those of each stratum from its first on, without a gap."""
    rows = mixed(tokens, source={"news": 3, "qa": 1, "web": 5})
    places = [rows.place(number) for number in range(2 * BLOCK + 100)]
    for part in range(3):
        own = [place for found, place in places if found == part]
        assert own == list(range(len(own)))
    again = mixed(tokens, source={"news": 3, "qa": 1, "web": 5})
    backwards = [again.place(number) for number in reversed(range(2 * BLOCK + 100))]
    assert backwards[::-1] == places
    assert rows.rows_taken(2 * BLOCK + 100).tolist() == np.bincount([part for part, _ in places]).tolist()
    far = 10**9
    assert (
        again.batch(far, 2).ids.tolist()
        == mixed(tokens, source={"news": 3, "qa": 1, "web": 5}).batch(far, 2).ids.tolist()
    )
    assert (
        mixed(tokens, seed=1, source={"news": 3, "qa": 1, "web": 5}).batch(0, 9).ids.tolist()
        != rows.batch(0, 9).ids.tolist()
    )


def test_documents_stay_whole_within_a_stratum(tokens: Tokens) -> None:
    rows = mixed(tokens, source={"news": 1, "qa": 1, "web": 1})
    batch = rows.batch(0, 50)
    assert np.array_equal(batch.documents, batch.ids)
    labelled = batch.labels >= 0
    assert np.array_equal(batch.labels[labelled], batch.ids[labelled]), "a document predicts itself only"


def test_without_weights_nothing_changes(tokens: Tokens) -> None:
    documents = np.arange(0, 350, 2)
    strata = make_strata(tokens, documents, by_source={}, by_language={})
    rows = make_rows(tokens, strata, length=16, seed=7)
    plain = Rows(tokens.ids, tokens.starts, documents, length=16, seed=7)
    assert isinstance(rows, Rows) and rows.batch(0, 40).ids.tolist() == plain.batch(0, 40).ids.tolist()


def test_the_account_is_what_was_read(tokens: Tokens, caplog: pytest.LogCaptureFixture) -> None:
    documents = np.arange(350)
    strata = make_strata(tokens, documents, by_source={"news": 2, "*": 1}, by_language={})
    rows = make_rows(tokens, strata, length=16, seed=0)
    found = account(rows, strata, tokens, 700)
    seen = shares_of(rows.batch(0, 700).ids, tokens.sources)
    for source, name in enumerate(SOURCES):
        assert found[name]["share"] == pytest.approx(seen[source])
        own = int(tokens.lengths[tokens.sources == source].sum())
        assert found[name]["tokens"] == own
        assert found[name]["epochs"] == pytest.approx(seen[source] * 700 * 16 / own, rel=0.1)
    assert found["news"]["stated_share"] == 0.5
    with caplog.at_level(logging.INFO):
        report(found)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert found["news"]["epochs"] > 4 > found["web"]["epochs"]
    assert [message.split(":")[0] for message in warned] == [
        name for name in SOURCES if found[name]["epochs"] > 4
    ]
    strata = make_strata(tokens, documents, by_source={}, by_language={})
    plain = account(make_rows(tokens, strata, length=16, seed=0), strata, tokens, 700)
    assert sum(row["share"] for row in plain.values()) == pytest.approx(1)
    assert all(row["share"] == pytest.approx(row["stated_share"]) for row in plain.values())


def test_rows_per_block() -> None:
    assert rows_per_block([1, 1, 2]).tolist() == [256, 256, 512]
    for shares in ([1.0], [1, 1e-9, 5], [3, 7, 11, 0.001], [1] * 1000):
        counts = rows_per_block(shares)
        assert counts.sum() == BLOCK and counts.min() >= 1
        assert np.abs(counts - np.maximum(np.array(shares) / sum(shares) * BLOCK, 1)).max() <= 2


def test_wrong_weights(tokens: Tokens) -> None:
    for weights, message in (
        ({"source": {"new": 1, "*": 1}}, r"mixture\.new: the corpus has no such one; it has news, qa, web"),
        ({"source": {"news": 1}}, r"mixture: qa, web has no weight; .* a weight \* for all others"),
        ({"language": {"en": 1}}, r"language_mixture: de has no weight"),
        (
            {"source": {"*": 1}, "language": {"en": 0, "de": 1}},
            "no language of the source 'qa' has a weight over 0",
        ),
    ):
        with pytest.raises(UserError, match=message):
            mixed(tokens, **weights)
    strata = make_strata(tokens, np.arange(350), by_source={"*": 1}, by_language={})
    with pytest.raises(UserError, match=r"news has \d+ tokens, too few for one row of 2000"):
        make_rows(tokens, strata, length=2000, seed=0)


def test_no_heavy_imports() -> None:
    import subprocess
    import sys

    code = "import sys, conan_train.pretrain.train, conan_train.sft.train\n"
    code += "print([name for name in ('datasets', 'datatrove', 'polars', 'faiss', 'mteb') if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert found.stdout.strip() == "[]"
