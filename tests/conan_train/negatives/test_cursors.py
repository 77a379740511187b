import numpy as np
import pytest

from conan_train.negatives.config import RuleConfig
from conan_train.negatives.cursors import EMPTY, Cursors
from conan_train.negatives.rule import has_become_easy


def is_replaced(s0: float, s_now: float) -> bool:
    """The paper's rule, word by word, for one negative."""
    if s0 < 0.4:
        return True
    return 1.2 * s_now < s0 and s_now < 0.7


def test_the_rule_equals_the_paper_on_a_grid() -> None:
    grid = np.round(np.arange(-1, 1.01, 0.05), 2)
    s0, s_now = (part.astype(np.float64) for part in np.meshgrid(grid, grid, indexing="ij"))
    expected = np.vectorize(is_replaced)(s0, s_now)
    assert expected.any() and not expected.all()
    np.testing.assert_array_equal(has_become_easy(s0, s_now, RuleConfig()), expected)


def test_a_missing_negative_is_never_replaced() -> None:
    assert not has_become_easy(np.array([[np.nan, 0.1]]), np.array([[0.0, np.nan]]), RuleConfig()).any()


def step_by_step(
    pool: list[tuple[int, float]], slots: list[int], next_place: int, scores: list[float]
) -> tuple[list[int], int]:
    for index, slot in enumerate(slots):
        if slot != EMPTY and is_replaced(pool[slot][1], scores[index]) and next_place < len(pool):
            slots[index] = next_place
            next_place += 1
    return slots, next_place


def test_cursors_walk_as_a_plain_loop_does() -> None:
    rng = np.random.default_rng(0)
    num_queries, places, num_negatives = 40, 9, 4
    sizes = rng.integers(0, places + 1, num_queries)
    row_QP = rng.integers(0, 1000, (num_queries, places)).astype(np.int32)
    score_QP = rng.uniform(0.2, 0.9, (num_queries, places)).astype(np.float32)
    row_QP[np.arange(places) >= sizes[:, None]] = EMPTY
    cursors = Cursors.start(row_QP, score_QP, num_negatives=num_negatives)
    pools = [
        [(int(row_QP[q, p]), float(score_QP[q, p])) for p in range(sizes[q])] for q in range(num_queries)
    ]
    slots = [[p if p < sizes[q] else EMPTY for p in range(num_negatives)] for q in range(num_queries)]
    nexts = [min(num_negatives, int(size)) for size in sizes]
    total = 0
    for _ in range(6):
        query_B = rng.permutation(num_queries)[:15]
        score_BN = rng.uniform(0.0, 0.9, (15, num_negatives))
        row_BN, s0_BN = cursors.negatives(query_B), cursors.chosen_scores(query_B)
        for b, q in enumerate(query_B):
            assert [(-1 if s == EMPTY else pools[q][s][0]) for s in slots[q]] == row_BN[b].tolist()
            before = nexts[q]
            slots[q], nexts[q] = step_by_step(pools[q], slots[q], nexts[q], score_BN[b].tolist())
            total -= nexts[q] - before
        score_BN[np.isnan(s0_BN)] = np.nan
        total += cursors.advance(query_B, score_BN, RuleConfig())
        assert [s for q in query_B for s in slots[q]] == cursors.slot_QN[query_B].ravel().tolist()
    assert total == 0 and cursors.next_Q.tolist() == nexts
    assert sum(nexts) > int(np.minimum(sizes, num_negatives).sum())  # something was replaced


def test_a_used_up_pool_keeps_its_last_negatives() -> None:
    cursors = Cursors.start(np.array([[5, 6]], np.int32), np.array([[0.3, 0.2]], np.float32), num_negatives=1)
    queries = np.array([0])
    assert [cursors.advance(queries, np.array([[0.1]]), RuleConfig()) for _ in range(3)] == [1, 0, 0]
    assert cursors.negatives(queries).tolist() == [[6]]


def test_no_pool_at_all() -> None:
    cursors = Cursors.start(np.zeros((3, 0), np.int32), np.zeros((3, 0), np.float32), num_negatives=2)
    rows, scores = cursors.negatives(np.array([0, 2])), cursors.chosen_scores(np.array([0, 2]))
    assert rows.tolist() == [[EMPTY, EMPTY]] * 2 and np.isnan(scores).all()
    assert cursors.advance(np.array([0, 2]), scores, RuleConfig()) == 0


@pytest.mark.parametrize("field,value", [("floor", 2.0), ("ratio", 0.5), ("ceiling", -3.0)])
def test_a_threshold_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    from conan_data.errors import UserError

    with pytest.raises(UserError, match=f"^{field}: "):
        RuleConfig(**{field: value})


def test_v1_replaces_all_of_a_query_by_windows_of_ranks() -> None:
    """The i-th replacement takes (i-1)*n+10 .. i*n+10, here n = 3, until the pool of 17 is used up."""
    pool_row_QP = np.arange(34, dtype=np.int32).reshape(2, 17)
    cursors = Cursors.start(pool_row_QP, np.full((2, 17), 0.6, np.float32), num_negatives=3)
    rule, first = RuleConfig(version="v1"), np.array([0])
    kept = np.array([[0.1, 0.9, 0.9]])  # their mean has not fallen, though one has
    assert cursors.advance(first, kept, rule) == 0
    taken = []
    for _ in range(4):
        cursors.advance(first, np.array([[0.5, 0.52, 0.51]]), rule)
        taken.append(cursors.negatives(first)[0].tolist())
    assert taken == [[10, 11, 12], [13, 14, 15], [16, 14, 15], [16, 14, 15]]
    assert cursors.negatives(np.array([1])).tolist() == [[17, 18, 19]]


def test_v1_has_its_own_thresholds_and_clock() -> None:
    v1, v2 = RuleConfig(version="v1"), RuleConfig()
    s0, s_now = np.array([[0.9], [0.9], [0.3]]), np.array([[0.77], [0.79], [0.3]])
    assert has_become_easy(s0, s_now, v1).ravel().tolist() == [True, False, False]
    assert has_become_easy(s0, s_now, v2).ravel().tolist() == [False, False, True]
    assert [step for step in range(300) if v1.is_due(step)] == [99, 199, 299] and v2.is_due(0)
