import numpy as np
import pytest

from conan_data.classifier.measure import choose_threshold, measure, share


def brute_force(scores: np.ndarray, positive: np.ndarray, target: str, value: float) -> set[int]:
    """The texts that are taken, by trying every threshold."""
    reaching = []
    for threshold in sorted(set(scores.tolist())):
        taken = scores >= threshold
        hits = (taken & positive).sum()
        if (hits / taken.sum() if target == "precision" else hits / positive.sum()) >= value:
            reaching.append(threshold)
    threshold = min(reaching) if target == "precision" else max(reaching)
    return set(np.flatnonzero(scores >= threshold).tolist())


@pytest.mark.parametrize("target", ["precision", "recall"])
@pytest.mark.parametrize("value", [0.6, 0.75, 0.9])
def test_threshold_is_that_of_brute_force(target: str, value: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        positive = rng.random(60) < 0.5
        # Rounded, so that scores tie.
        scores = np.round(positive * 0.4 + rng.random(60) * 0.6, 1).astype(np.float32)
        positive[np.argmax(scores)] = True
        scores[np.argmax(scores)] = 1.0
        threshold, reached = choose_threshold(scores, positive, target=target, value=value)
        if reached:
            taken = set(np.flatnonzero(scores >= threshold).tolist())
            assert taken == brute_force(scores, positive, target, value)


def test_a_target_out_of_reach_is_said() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    positive = np.array([False, True, True, False])
    threshold, reached = choose_threshold(scores, positive, target="precision", value=0.9)
    assert not reached and 0.1 < threshold < 0.7


def test_figures_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.6, 0.4, 0.2])
    found = measure(scores, np.array([True, False, True, True, False]), 0.5)
    assert (found["texts"], found["positive"], found["taken"]) == (5, 3, 3)
    assert found["precision"]["value"] == found["recall"]["value"] == found["f1"] == 0.6667
    # 1/1, 2/3 and 3/4 at the three positive texts.
    assert found["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3, abs=1e-4)


def test_wilson_interval() -> None:
    """By the formula of Wilson (1927) with z = 1.95996."""
    z, n, p = 1.959964, 50, 0.9
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    found = share(45, 50)
    assert found is not None
    assert (found["low"], found["high"]) == pytest.approx((centre - half, centre + half), abs=1e-4)
    assert share(0, 0) is None


def test_nothing_taken_has_no_precision() -> None:
    found = measure(np.array([0.1, 0.2]), np.array([True, False]), 0.5)
    assert found["precision"] is None and found["recall"]["value"] == 0 and found["f1"] == 0
