"""Selection against a slow loop that follows the rules one candidate at a time."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conan_data.mining.arrays import RetrievalArrays
from conan_data.mining.config import SelectionConfig
from conan_data.mining.selection import KEPT, REASONS, Pools, reduce_positive_scores, select, thresholds

Pool = list[tuple[int, float, int, str]]


def verdict_of(query: int, document: int) -> int:
    """A judge of no sense, but always of the same opinion."""
    return (query * 7 + document * 5) % 3 - 1


def slow_select(case: dict, limits: np.ndarray) -> tuple[list[Pool], dict[str, int]]:
    """The rules one candidate at a time; of a draw it does not know the outcome, so it gives all that are
    left.
    """
    rows, scores, positives, groups, texts = (
        case[name] for name in ("rows", "scores", "positives", "groups", "texts")
    )
    rule: SelectionConfig = case["selection"]
    vectors = case["vectors"].astype(np.float32)
    pools, counts = [], dict.fromkeys(REASONS, 0)
    for query, candidates in enumerate(rows):
        pool, rank, stay = [], 0, []
        seen_texts, seen_groups = {texts[row] for row in positives[query]}, set()
        own_groups = {groups[row] for row in positives[query] if groups[row] >= 0}
        absolute = math.inf
        if rule.absolute_margin is not None and positives[query]:
            absolute = np.float32(float(case["reduced"][query]) - rule.absolute_margin)
        for row, score in zip(candidates, scores[query]):
            if row < 0 or rank >= rule.depth or not positives[query]:
                break
            limit = float(min(limits[query], absolute))
            in_band = rule.has_band and limit - rule.band_below < float(score) <= limit + rule.band_above
            itself = (
                row in case["own"][query]
                or texts[row] in {texts[own] for own in case["own"][query]}
                or groups[row] in {groups[own] for own in case["own"][query]} - {-1}
            )
            answer = row in positives[query] or groups[row] in own_groups or itself
            near = [float(vectors[row] @ vectors[own]) for own in positives[query]]
            if answer:
                reason = "same-group" if groups[row] in own_groups else "query-itself"
                if row in positives[query]:
                    reason = "known-positive"
            elif score > limits[query] and not in_band:
                reason = "false-negative"
            elif score > absolute and not in_band:
                reason = "absolute-margin"
            elif rule.ceiling is not None and score > np.float32(rule.ceiling):
                reason = "ceiling"
            elif rule.floor is not None and score < np.float32(rule.floor):
                reason = "floor"
            elif rank < rule.skip:
                reason = "rank-window"
            elif rule.one_per_group and groups[row] in seen_groups:
                reason = "same-group-again"
            elif texts[row] in seen_texts:
                reason = "duplicate-text"
            elif rule.near_positive is not None and max(near) > rule.near_positive:
                reason = "near-positive"
            elif rule.near_duplicate is not None and any(
                vectors[row] @ vectors[other] > rule.near_duplicate for other in stay
            ):
                reason = "near-duplicate"
            else:
                stay.append(row)
                verdict = verdict_of(query, row) if in_band else None
                reason = {None: "kept:rank", 0: "kept:judged", 1: "judged-positive", -1: "judge-failed"}[
                    verdict
                ]
                if reason.startswith("kept:"):
                    if rule.choose != "top":
                        reason = reason.replace("rank", "sampled")
                    elif len(pool) == rule.pool_size:
                        reason = "beyond-pool"
            if reason.startswith("kept:"):
                pool.append((int(row), float(score), rank, reason))
            counts[reason] += 1
            seen_texts.add(texts[row])
            seen_groups |= {groups[row]} - {-1}
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
    vectors = rng.standard_normal((num_documents, 3))
    cosine = st.none() | st.sampled_from([-0.5, 0.0, 0.3, 0.8])
    return {
        "rows": rows,
        "scores": np.take_along_axis(scores, np.maximum(rows, 0), axis=1),
        "positives": positives,
        "own": [
            sorted(
                rng.choice(num_documents, rng.integers(0, min(3, num_documents + 1)), replace=False).tolist()
            )
            for _ in range(num_queries)
        ],
        "positive_scores": np.array(
            [scores[q, p] for q, own in enumerate(positives) for p in own], np.float32
        ),
        "groups": rng.integers(-1, draw(st.integers(1, 30)), num_documents).astype(np.int32),
        "texts": rng.integers(0, draw(st.integers(1, 40)), num_documents).astype(np.int32),
        "vectors": (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16),
        "selection": SelectionConfig(
            pool_size=draw(st.integers(1, 8)),
            skip=skip,
            depth=skip + draw(st.integers(1, 30)),
            margin=draw(st.sampled_from([0.95, 0.95, 0.5])),
            reference=draw(st.sampled_from(["highest", "mean", "lowest"])),
            absolute_margin=draw(st.none() | st.sampled_from([0.0, 0.3])),
            ceiling=draw(cosine),
            floor=draw(cosine),
            one_per_group=draw(st.booleans()),
            near_positive=draw(cosine),
            near_duplicate=draw(cosine),
            choose=draw(st.sampled_from(["top", "uniform", "softmax"])),
            seed=draw(st.integers(0, 3)),
            band_above=draw(st.sampled_from([0.0, 0.0, 0.25])),
            band_below=draw(st.sampled_from([0.0, 0.0, 0.25])),
        ),
    }


def run(case: dict) -> tuple[Pools, np.ndarray]:
    """The pools, and the relative thresholds; `case["reduced"]` is filled in."""
    selection: SelectionConfig = case["selection"]
    positives = case["positives"]
    offsets = np.concatenate(([0], np.cumsum([len(own) for own in positives]))).astype(np.int64)
    case["reduced"] = reduce_positive_scores(case["positive_scores"], offsets, reference=selection.reference)
    pools = select(
        case["rows"],
        case["scores"],
        arrays=RetrievalArrays(
            positive_offsets=offsets,
            positive_rows=np.array([row for own in positives for row in own], np.int32),
            groups=case["groups"],
            texts=case["texts"],
            query_languages=np.zeros(len(positives), np.int32),
            languages=("en",),
            query_keys=np.arange(len(positives)).astype(np.uint64) + np.uint64(2**63),
            own_offsets=np.concatenate(([0], np.cumsum([len(own) for own in case["own"]]))).astype(np.int64),
            own_rows=np.array([row for own in case["own"] for row in own], np.int32),
        ),
        selection=selection,
        positive_scores_Q=case["reduced"],
        vectors=lambda rows: case["vectors"][rows],
        verdicts=lambda queries, rows: np.array(
            [verdict_of(*pair) for pair in zip(queries.tolist(), rows.tolist())]
        ),
    )
    margin = np.inf if selection.margin is None else selection.margin
    return pools, thresholds(case["reduced"], np.full(len(positives), margin))


def contents(pools: Pools, query: int) -> Pool:
    size = pools.sizes[query]
    reasons = [REASONS[code] for code in pools.reasons[query, :size]]
    return list(zip(pools.rows[query, :size], pools.scores[query, :size], pools.ranks[query, :size], reasons))


@settings(max_examples=400, deadline=None)
@given(cases())
def test_equals_the_slow_loop(case: dict) -> None:
    pools, limits = run(case)
    expected, counts = slow_select(case, limits)
    size = case["selection"].pool_size
    for query, pool in enumerate(expected):
        found = contents(pools, query)
        if case["selection"].choose == "top":
            assert found == pool
        else:
            assert len(found) == min(size, len(pool)) and [item for item in pool if item in found] == found
        end = len(found)
        assert (pools.rows[query, end:] == -1).all() and (pools.ranks[query, end:] == -1).all()
        assert np.isnan(pools.scores[query, end:]).all() and (pools.reasons[query, end:] == 255).all()
    drawn = Counter(reason for query in range(len(expected)) for *_, reason in contents(pools, query))
    for reason in REASONS:
        if reason == "not-sampled":
            assert pools.counts[reason] == sum(max(0, len(pool) - size) for pool in expected) * (
                case["selection"].choose != "top"
            )
        else:
            assert pools.counts[reason] == (drawn[reason] if reason in KEPT else counts[reason]), reason
    assert sum(pools.counts.values()) == sum(counts.values())


@settings(max_examples=150, deadline=None)
@given(cases())
def test_no_answer_and_no_repeated_text_or_group_is_ever_in_a_pool(case: dict) -> None:
    pools, _ = run(case)
    for query, own in enumerate(case["positives"]):
        pool = pools.rows[query][pools.rows[query] >= 0].tolist()
        groups = {case["groups"][row] for row in own} - {-1}
        assert not set(pool) & set(own)
        pool_groups = [case["groups"][row] for row in pool if case["groups"][row] >= 0]
        assert not {*pool_groups} & groups
        if case["selection"].one_per_group:
            assert len({*pool_groups}) == len(pool_groups)
        texts = [case["texts"][row] for row in pool + own]
        assert len({*texts[: len(pool)]}) == len(pool) and not set(texts[: len(pool)]) & set(
            texts[len(pool) :]
        )


def one_query(
    scores: list[float],
    positives: list[int],
    groups: list[int] | None = None,
    texts: list[int] | None = None,
    **rules: object,
) -> dict:
    order = np.argsort(-np.array(scores, np.float32), kind="stable").astype(np.int32)
    return {
        "rows": order[None],
        "scores": np.array(scores, np.float32)[order][None],
        "positives": [positives],
        "own": [[]],
        "positive_scores": np.array([scores[row] for row in positives], np.float32),
        "groups": np.array(groups or [-1] * len(scores), np.int32),
        "texts": np.array(texts or range(len(scores)), np.int32),
        "vectors": np.eye(len(scores), dtype=np.float16),
        "selection": SelectionConfig(**{"pool_size": 10, "depth": 100, **rules}),
    }


def test_every_reason_by_hand() -> None:
    scores = [0.80, 0.90, 0.79, 0.77, 0.70, 0.60, 0.50, 0.40, 0.30, 0.20]
    case = one_query(
        scores,
        [0],
        groups=[7, -1, 7, -1, -1, -1, -1, -1, -1, -1],
        texts=[0, 1, 2, 3, 4, 5, 5, 0, 8, 9],
        pool_size=2,
        skip=3,
    )
    pools, limits = run(case)
    assert limits[0] == pytest.approx(0.76)
    assert pools.rows.tolist() == [[5, 8]] and pools.ranks.tolist() == [[3, 6]]
    assert {reason: count for reason, count in pools.counts.items() if count} == {
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
    groups = [1] * 20 + [-1] * 3
    pools, _ = run(one_query(scores, [0], groups=groups, pool_size=5, skip=1, depth=3))
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
    pools, _ = run(one_query([0.5, 0.5, 0.5001], [0], margin=1.0))
    assert pools.rows[0, :2].tolist() == [1, -1]


def test_the_translations_of_a_page_are_in_a_pool_once_unless_it_is_wanted_otherwise() -> None:
    scores, groups = [0.9, 0.8, 0.79, 0.78, 0.5, 0.4], [0, 1, 1, 1, 2, -1]
    pools, _ = run(one_query(scores, [0], groups))
    assert pools.rows[0, :4].tolist() == [1, 4, 5, -1] and pools.counts["same-group-again"] == 2
    pools, _ = run(one_query(scores, [0], groups, one_per_group=False))
    assert pools.rows[0, :5].tolist() == [1, 2, 3, 4, 5]


def test_the_translation_of_a_false_negative_is_no_negative() -> None:
    pools, _ = run(one_query([0.9, 0.89, 0.5, 0.4], [0], [0, 1, 1, 2]))
    assert pools.rows[0, :2].tolist() == [3, -1]
    assert pools.counts["false-negative"] == pools.counts["same-group-again"] == 1


def test_of_a_chain_of_near_duplicates_every_second_one_stays() -> None:
    case = one_query([0.9, 0.7, 0.6, 0.5, 0.4], [0], near_duplicate=0.8)
    angles = np.radians([0, 90, 120, 150, 180])
    case["vectors"] = np.stack((np.cos(angles), np.sin(angles)), axis=1).astype(np.float16)
    pools, _ = run(case)
    assert pools.rows[0, :3].tolist() == [1, 3, -1] and pools.counts["near-duplicate"] == 2
    case["selection"] = SelectionConfig(pool_size=10, depth=100, near_positive=-0.6)
    pools, _ = run(case)
    assert pools.rows[0, :3].tolist() == [3, 4, -1] and pools.counts["near-positive"] == 2


def test_a_judge_decides_within_the_band_only_and_its_silence_drops() -> None:
    case = one_query(
        [0.9, 0.88, 0.70, 0.69, 0.68, 0.67, 0.5], [0], margin=0.75, band_above=0.03, band_below=0.01
    )
    pools, _ = run(case)  # the threshold is 0.675; of rows 2 to 5 the opinions are 0, -1, 1, 0
    assert [verdict_of(0, row) for row in (2, 3, 4, 5)] == [0, -1, 1, 0]
    assert contents(pools, 0) == [
        (2, np.float32(0.70), 1, "kept:judged"),
        (5, np.float32(0.67), 4, "kept:judged"),
        (6, np.float32(0.5), 5, "kept:rank"),
    ]
    assert (
        pools.counts["judged-positive"] == pools.counts["judge-failed"] == pools.counts["false-negative"] == 1
    )


def test_no_margin_at_all_leaves_the_ceiling() -> None:
    pools, _ = run(one_query([0.5, 0.9, 0.6, 0.3], [0], margin=None, ceiling=0.8))
    assert pools.rows[0, :3].tolist() == [2, 3, -1] and pools.counts["ceiling"] == 1


@pytest.mark.parametrize("choose", ["uniform", "softmax"])
def test_a_draw_has_the_frequencies_of_its_law(choose: str) -> None:
    num_draws, scores = 20_000, np.array([0.5, 0.45, 0.4, 0.3], np.float32)
    counts = np.zeros(4)
    rows_QK = np.tile(np.arange(1, 5, dtype=np.int32), (num_draws, 1))
    arrays = RetrievalArrays(
        positive_offsets=np.arange(num_draws + 1),
        positive_rows=np.zeros(num_draws, np.int32),
        groups=np.full(5, -1, np.int32),
        texts=np.arange(5, dtype=np.int32),
        query_languages=np.zeros(num_draws, np.int32),
        languages=("en",),
        query_keys=np.arange(num_draws).astype(np.uint64),
    )
    drawn = [
        select(
            rows_QK,
            np.tile(scores, (num_draws, 1)),
            arrays=arrays,
            selection=SelectionConfig(pool_size=1, choose=choose, temperature=0.1, seed=seed),
            positive_scores_Q=np.ones(num_draws, np.float32),
        ).rows[:, 0]
        for seed in (0, 1)
    ]
    counts = np.bincount(drawn[0], minlength=5)[1:] / num_draws
    weights = np.ones(4) if choose == "uniform" else np.exp(scores / 0.1)
    np.testing.assert_allclose(counts, weights / weights.sum(), atol=0.015)
    same = (drawn[0] == drawn[1]).mean()
    assert same == pytest.approx(((weights / weights.sum()) ** 2).sum(), abs=0.02), (
        "seeds are not independent"
    )
