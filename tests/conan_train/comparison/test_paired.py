"""Differences against a bootstrap written out as loops, and their decisions on planted and absent differences."""

import random

import numpy as np
import pyarrow as pa
import pytest

from conan_data.errors import UserError
from conan_train.comparison.paired import MIXED, Pools, differences
from conan_train.evaluation.evaluation_set import ANY
from conan_train.evaluation.intervals import paired_test
from conan_train.evaluation.metrics import METRICS


def rows(pair, values, *, sources=None, start=0):
    query, document = pair
    ids = [f"q{start + number:04}" for number in range(len(values))]
    return [
        {
            "query_id": identifier,
            "source_id": (sources or ids)[number],
            "query_language": query,
            "document_language": document,
            **dict.fromkeys(METRICS, float(values[number])),
        }
        for number, identifier in enumerate(ids)
    ]


def pools(*parts):
    return Pools.of(pa.Table.from_pylist([row for part in parts for row in part]))


def test_interval_and_p_value_are_those_of_a_loop_over_sources() -> None:
    generator = np.random.default_rng(3)
    values = generator.normal(0.05, 0.2, 40)
    sources = [f"s{number % 15}" for number in range(40)]
    low, high, p = paired_test(values[:, None], sources, num_samples=4000, seed=5)
    draw = random.Random(11)
    names = sorted(set(sources))
    means = []
    for _ in range(4000):
        drawn = [draw.choice(names) for _ in names]
        picked = [values[row] for name in drawn for row in range(40) if sources[row] == name]
        means.append(sum(picked) / len(picked))
    means.sort()
    assert low[0] == pytest.approx(means[100], abs=0.01)
    assert high[0] == pytest.approx(means[3900], abs=0.01)
    share = min(sum(mean <= 0 for mean in means), sum(mean >= 0 for mean in means)) / 4000
    assert p[0] == pytest.approx(2 * share, abs=0.03)


def test_a_small_steady_difference_holds_where_the_two_intervals_overlap() -> None:
    hard = np.random.default_rng(1).uniform(0, 0.9, 100)
    base, other = (pools(rows(("en", "de"), hard + shift)) for shift in (0.0, 0.02))
    found = differences(base, other, num_samples=1000, level=0.05, seed=1)
    metrics = found["pairs"][0]["metrics"]["ndcg@10"]
    assert metrics["difference"] == pytest.approx(0.02) and metrics["holds"] is True
    assert metrics["low"] == pytest.approx(0.02) and metrics["high"] == pytest.approx(0.02)


def test_of_many_pairs_without_a_difference_hardly_any_holds() -> None:
    # 60 pairs, both systems alike up to noise: without adjustment about 3 would hold.
    generator = np.random.default_rng(7)
    parts = [[], []]
    for number in range(60):
        truth = generator.uniform(0.3, 0.6, 50)
        for own in parts:
            own.append(rows(("en", f"x{number:02}"), truth + generator.normal(0, 0.1, 50)))
    base, other = (pools(*own) for own in parts)
    found = differences(base, other, num_samples=1000, level=0.05, seed=1)
    low = [record["metrics"]["ndcg@10"]["low"] for record in found["pairs"]]
    high = [record["metrics"]["ndcg@10"]["high"] for record in found["pairs"]]
    outside = sum(a > 0 or b < 0 for a, b in zip(low, high, strict=True))
    holding = sum(record["metrics"]["ndcg@10"]["holds"] for record in found["pairs"])
    assert outside >= 2, "the planted case has differences that an unadjusted interval would believe"
    assert holding == 0


def test_groups_join_their_pairs_and_the_mixed_pool_is_apart() -> None:
    parts = [rows(("en", "en"), [0.1, 0.2]), rows(("de", "en"), [0.3] * 4), rows(("de", "de"), [0.5] * 4)]
    mixed = [{**row, "document_language": ANY} for row in parts[1]]
    base = pools(*parts, mixed)
    better = pools(parts[0], rows(("de", "en"), [0.5] * 4), parts[2], mixed)
    found = differences(base, better, num_samples=500, level=0.05, seed=1)
    groups = {record["name"]: record for record in found["groups"]}
    assert groups["same-language"]["num_queries"] == 6
    assert groups["same-language"]["metrics"]["mrr@10"]["difference"] == 0.0
    assert groups["same-language"]["metrics"]["mrr@10"]["holds"] is False
    assert groups["cross-language"]["metrics"]["mrr@10"]["difference"] == pytest.approx(0.2)
    assert groups[MIXED]["num_queries"] == 4
    assert [record["name"] for record in found["pairs"]] == ["de -> de", "de -> en", "en -> en"]


def test_pools_of_other_queries_are_refused_and_pools_of_one_only_are_left_out() -> None:
    base = pools(rows(("en", "de"), [0.1, 0.2]), rows(("en", "fr"), [0.1, 0.2]))
    other = pools(rows(("en", "de"), [0.1, 0.2]))
    found = differences(base, other, num_samples=100, level=0.05, seed=1)
    assert [record["name"] for record in found["pairs"]] == ["en -> de"]
    with pytest.raises(UserError, match="en -> de: the evaluations scored different queries"):
        differences(base, pools(rows(("en", "de"), [0.1, 0.2], start=5)), num_samples=100, level=0.05, seed=1)


def test_one_source_query_gives_a_difference_and_no_decision() -> None:
    base, other = (pools(rows(("en", "de"), [value])) for value in (0.1, 0.4))
    metrics = differences(base, other, num_samples=100, level=0.05, seed=1)["pairs"][0]["metrics"]["ndcg@10"]
    assert metrics["difference"] == pytest.approx(0.3)
    assert metrics["holds"] is None and metrics["p"] is None
