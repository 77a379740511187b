from collections import Counter

import pytest
from scipy.stats import chisquare

from conan_data.xlr.mix import choose, normalise

MIX = {"en": 25.0, "zh": 12.0, "es": 8.0, "de": 4.0, "sw": 1.0}
IDS = [f"query-{number}" for number in range(20_000)]


def test_normalised_shares_sum_to_one():
    shares = normalise(MIX)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["en"] == pytest.approx(0.5)


def test_one_language_a_query_follows_the_mix():
    counts = Counter(choose(identifier, MIX, count=1, seed=3)[0] for identifier in IDS)
    expected = {language: share * len(IDS) for language, share in normalise(MIX).items()}
    assert chisquare([counts[name] for name in expected], list(expected.values())).pvalue > 1e-4
    # The test has the power to see a wrong share: 2% moved from one language to another fails it.
    moved = {**expected, "en": expected["en"] - 400, "zh": expected["zh"] + 400}
    assert chisquare([counts[name] for name in expected], [moved[name] for name in expected]).pvalue < 1e-4


def test_two_languages_follow_successive_sampling():
    shares = normalise(MIX)
    counts = Counter(choose(identifier, MIX, count=2, seed=3) for identifier in IDS)
    expected = {
        (first, second): shares[first] * shares[second] / (1 - shares[first]) * len(IDS)
        for first in shares
        for second in shares
        if first != second
    }
    assert set(counts) <= set(expected)
    assert chisquare([counts[pair] for pair in expected], list(expected.values())).pvalue > 1e-4


def test_choice_depends_on_the_query_alone():
    assert choose("query-7", MIX, count=2, seed=0) == (
        "zh",
        "es",
    )  # written down: it must never change between versions
    reordered = dict(reversed([(language, share * 1000) for language, share in MIX.items()]))
    assert all(
        choose(identifier, MIX, count=2, seed=0) == choose(identifier, reordered, count=2, seed=0)
        for identifier in IDS[:500]
    )
    assert any(
        choose(identifier, MIX, count=2, seed=0) != choose(identifier, MIX, count=2, seed=1)
        for identifier in IDS[:20]
    )


def test_unavailable_languages_leave_the_order_of_the_others():
    for identifier in IDS[:500]:
        everything = choose(identifier, MIX, count=5, seed=0)
        assert choose(
            identifier, MIX, count=5, seed=0, available=frozenset({"zh", "de", "sw", "xx"})
        ) == tuple(name for name in everything if name in {"zh", "de", "sw"})
    assert choose("q", MIX, count=2, seed=0, available=frozenset()) == ()
