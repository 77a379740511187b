"""Selection against a slow loop that follows the rules one candidate at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conan_data.mining.selection import REASONS, Pools, reduce_positive_scores, select, thresholds

Pool = list[tuple[int, float, int]]


def slow_select(
    case: dict, limits: np.ndarray, *, pool_size: int, depth: int, skip: int
) -> tuple[list[Pool], dict[str, int]]:
    rows, scores, positives, groups, texts = (
        case[name] for name in ("rows", "scores", "positives", "groups", "texts")
    )
    pools, counts = [], dict.fromkeys(REASONS, 0)
    for query, candidates in enumerate(rows):
        pool, seen_texts, rank = [], {texts[row] for row in positives[query]}, 0
        own_groups = {groups[row] for row in positives[query] if groups[row] >= 0}
        for row, score in zip(candidates, scores[query]):
            if row < 0 or rank >= depth or not positives[query]:
                break
            answer = row in positives[query] or groups[row] in own_groups
            if answer:
                reason = "known-positive" if row in positives[query] else "same-group"
            elif score > limits[query]:
                reason = "false-negative"
            elif rank < skip:
                reason = "rank-window"
            elif texts[row] in seen_texts:
                reason = "duplicate-text"
            elif len(pool) == pool_size:
                reason = "beyond-pool"
            else:
                reason = "kept:rank"
                pool.append((int(row), float(score), rank))
            counts[reason] += 1
            seen_texts.add(texts[row])
            rank += not answer
        pools.append(pool)
    return pools, counts


@st.composite
def cases(draw: st.DrawFn) -> dict:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_documents, num_queries = draw(st.integers(1, 40)), draw(st.integers(1, 6))
    width = draw(st.integers(1, num_documents))
    scores = np.round(rng.uniform(-1, 1, (num_queries, num_documents)), draw(st.sampled_from([1, 4]))).astype(
        np.float32
    )
    rows = np.array([np.lexsort((np.arange(num_documents), -row)) for row in scores], np.int32)[:, :width]
    rows[:, width - draw(st.integers(0, width)) :] = -1
    positives = [
        sorted(rng.choice(num_documents, rng.integers(0, min(4, num_documents + 1)), replace=False).tolist())
        for _ in range(num_queries)
    ]
    skip = draw(st.integers(0, 4))
    return {
        "rows": rows,
        "scores": np.take_along_axis(scores, np.maximum(rows, 0), axis=1),
        "positives": positives,
        "positive_scores": np.array(
            [scores[q, p] for q, own in enumerate(positives) for p in own], np.float32
        ),
        "groups": rng.integers(-1, draw(st.integers(1, 30)), num_documents).astype(np.int32),
        "texts": rng.integers(0, draw(st.integers(1, 40)), num_documents).astype(np.int32),
        "sizes": {
            "pool_size": draw(st.integers(1, 8)),
            "skip": skip,
            "depth": skip + draw(st.integers(1, 30)),
        },
        "reference": draw(st.sampled_from(["highest", "mean", "lowest"])),
    }


def offsets_of(positives: list[list[int]]) -> np.ndarray:
    return np.concatenate(([0], np.cumsum([len(own) for own in positives]))).astype(np.int64)


def run(case: dict, *, margin: float = 0.95) -> tuple[Pools, np.ndarray]:
    offsets = offsets_of(case["positives"])
    reduced = reduce_positive_scores(case["positive_scores"], offsets, reference=case["reference"])
    limits = thresholds(reduced, np.full(len(offsets) - 1, margin))
    pools = select(
        case["rows"],
        case["scores"],
        positive_offsets=offsets,
        positive_rows=np.array([row for own in case["positives"] for row in own], np.int32),
        positive_scores_Q=reduced,
        groups_N=case["groups"],
        texts_N=case["texts"],
        thresholds_Q=limits,
        **case["sizes"],
    )
    return pools, limits


@settings(max_examples=150, deadline=None)
@given(cases())
def test_equals_the_slow_loop(case: dict) -> None:
    pools, limits = run(case)
    expected, counts = slow_select(case, limits, **case["sizes"])
    assert pools.counts == counts
    for query, pool in enumerate(expected):
        size = len(pool)
        assert pools.sizes[query] == size
        assert (
            list(zip(pools.rows[query, :size], pools.scores[query, :size], pools.ranks[query, :size])) == pool
        )
        assert (pools.rows[query, size:] == -1).all() and (pools.ranks[query, size:] == -1).all()
        assert np.isnan(pools.scores[query, size:]).all()


@settings(max_examples=150, deadline=None)
@given(cases())
def test_no_answer_and_no_repeated_text_is_ever_in_a_pool(case: dict) -> None:
    pools, _ = run(case)
    for query, own in enumerate(case["positives"]):
        pool = pools.rows[query][pools.rows[query] >= 0].tolist()
        groups = {case["groups"][row] for row in own} - {-1}
        assert not set(pool) & set(own)
        assert not {case["groups"][row] for row in pool} & groups
        texts = [case["texts"][row] for row in pool + own]
        assert len({*texts[: len(pool)]}) == len(pool) and not set(texts[: len(pool)]) & set(
            texts[len(pool) :]
        )


def one_query(scores: list[float], positives: list[int], **changes: object) -> dict:
    order = np.argsort(-np.array(scores, np.float32), kind="stable").astype(np.int32)
    return {
        "rows": order[None],
        "scores": np.array(scores, np.float32)[order][None],
        "positives": [positives],
        "positive_scores": np.array([scores[row] for row in positives], np.float32),
        "groups": np.full(len(scores), -1, np.int32),
        "texts": np.arange(len(scores), dtype=np.int32),
        "sizes": {"pool_size": 10, "skip": 0, "depth": 100},
        "reference": "highest",
        **changes,
    }


def test_every_reason_by_hand() -> None:
    scores = [0.80, 0.90, 0.79, 0.77, 0.70, 0.60, 0.50, 0.40, 0.30, 0.20]
    case = one_query(
        scores,
        [0],
        groups=np.array([7, -1, 7, -1, -1, -1, -1, -1, -1, -1], np.int32),
        texts=np.array([0, 1, 2, 3, 4, 5, 5, 0, 8, 9], np.int32),
        sizes={"pool_size": 2, "skip": 3, "depth": 100},
    )
    pools, limits = run(case)
    assert limits[0] == pytest.approx(0.76)
    assert pools.rows.tolist() == [[5, 8]] and pools.ranks.tolist() == [[3, 6]]
    assert pools.counts == {
        "kept:rank": 2,
        "known-positive": 1,
        "same-group": 1,
        "false-negative": 2,
        "rank-window": 1,
        "duplicate-text": 2,
        "beyond-pool": 1,
    }


def test_twenty_translations_do_not_use_up_the_rank_window() -> None:
    scores = [0.9 - 0.01 * row for row in range(20)] + [0.6, 0.5, 0.4]
    groups = np.array([1] * 20 + [-1] * 3, np.int32)
    pools, _ = run(one_query(scores, [0], groups=groups, sizes={"pool_size": 5, "skip": 1, "depth": 3}))
    assert pools.rows[0, :3].tolist() == [21, 22, -1] and pools.ranks[0, :2].tolist() == [1, 2]


def test_a_negative_positive_score_still_has_a_threshold_below_it() -> None:
    pools, limits = run(one_query([-0.20, -0.10, -0.2005, -0.25], [0]))
    assert limits[0] == pytest.approx(-0.21)
    assert pools.rows[0, :2].tolist() == [3, -1] and pools.counts["false-negative"] == 2


def test_a_weak_second_answer_empties_the_pool_under_lowest_but_not_under_highest() -> None:
    scores = [0.9, 0.3, 0.8, 0.7, 0.2]
    highest, _ = run(one_query(scores, [0, 1]))
    mean, _ = run(one_query(scores, [0, 1], reference="mean"))
    lowest, _ = run(one_query(scores, [0, 1], reference="lowest"))
    assert highest.rows[0, :4].tolist() == [2, 3, 4, -1]
    assert mean.rows[0, :2].tolist() == [4, -1]
    assert lowest.rows[0, :2].tolist() == [4, -1]
    assert [float(pools.positive_scores[0]) for pools in (highest, mean, lowest)] == pytest.approx(
        [0.9, 0.6, 0.3]
    )


def test_a_score_equal_to_the_threshold_is_kept() -> None:
    pools, _ = run(one_query([0.5, 0.5, 0.5001], [0]), margin=1.0)
    assert pools.rows[0, :2].tolist() == [1, -1]
