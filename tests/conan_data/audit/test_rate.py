"""The estimate against the truth of made-up populations."""

import numpy as np
import pytest

from conan_data.audit.rate import draw_sample, false_rate, interval, strata_of


def population(
    rng: np.random.Generator, rates: list[float], size: int = 2000
) -> tuple[np.ndarray, np.ndarray]:
    """Ratios and labels; the higher a ratio, the likelier an answer, by the rates of equal parts."""
    ratios = np.sort(rng.uniform(0.3, 0.95, size))
    labels = rng.uniform(size=size) < np.repeat(rates, size // len(rates))
    order = rng.permutation(size)
    return ratios[order], labels[order].astype(float)


def test_all_labels_give_the_share_itself() -> None:
    ratios, labels = population(np.random.default_rng(0), [0.0, 0.05, 0.1, 0.2, 0.6])
    strata = strata_of(ratios, num_strata=5)
    assert np.bincount(strata).tolist() == [400] * 5
    rate = false_rate(labels, strata, strata, confidence=0.95)
    assert rate.value == pytest.approx(labels.mean()) and rate.covered == 1


@pytest.mark.parametrize("rates", [[0.0, 0.0, 0.0, 0.02, 0.1], [0.0, 0.05, 0.1, 0.2, 0.6], [0.5] * 5])
def test_the_interval_holds_the_truth_as_often_as_it_says_and_the_estimate_is_not_biased(
    rates: list[float],
) -> None:
    rng = np.random.default_rng(1)
    ratios, labels = population(rng, rates)
    strata = strata_of(ratios, num_strata=5)
    covered, values = [], []
    for seed in range(400):
        sample = draw_sample(strata, size=150, seed=seed)
        rate = false_rate(labels[sample], strata[sample], strata, confidence=0.9)
        covered.append(rate.low <= labels.mean() <= rate.high)
        values.append(rate.value)
    assert np.mean(covered) >= 0.88
    assert np.mean(values) == pytest.approx(labels.mean(), abs=4 * np.std(values) / 20)


def test_a_plain_mean_of_uneven_labels_would_be_wrong() -> None:
    """What the weights are for: many labels at the top, few below."""
    strata_M = np.repeat([0, 1], [900, 100])
    labels, strata_n = np.repeat([0.0, 1.0], [10, 90]), np.repeat([0, 1], [10, 90])
    assert false_rate(labels, strata_n, strata_M, confidence=0.95).value == pytest.approx(0.1)


def test_no_false_negative_found_is_not_none_there() -> None:
    rate = false_rate(np.zeros(100), np.repeat([0, 1], 50), np.repeat([0, 1], 500), confidence=0.95)
    assert rate.value == rate.low == 0
    assert rate.high == pytest.approx(1 - 0.025 ** (1 / 100))  # Clopper and Pearson for 0 of 100


def test_the_interval_is_that_of_scipy_for_whole_numbers() -> None:
    from scipy import stats

    expected = stats.binomtest(7, 80).proportion_ci(0.95, "exact")
    assert interval(7 / 80, 80, confidence=0.95) == pytest.approx((expected.low, expected.high))
    assert interval(1.0, 10, confidence=0.95)[1] == 1.0


def test_strata_without_labels_are_told() -> None:
    rate = false_rate(np.ones(3), np.zeros(3, int), np.repeat([0, 1], [25, 75]), confidence=0.95)
    assert rate.covered == 0.25 and rate.num_labels == 3
    nothing = false_rate(np.zeros(0), np.zeros(0, int), np.zeros(5, int), confidence=0.95)
    assert np.isnan(nothing.value) and nothing.to_json()["value"] is None


def test_a_sample_is_even_and_a_small_stratum_is_taken_whole() -> None:
    strata = np.repeat([0, 1, 2], [3, 100, 100])
    sample = draw_sample(strata, size=43, seed=0)
    assert len(np.unique(sample)) == 43 and np.bincount(strata[sample]).tolist() == [3, 20, 20]
    assert draw_sample(strata, size=43, seed=0).tolist() == sample.tolist()
    assert draw_sample(strata, size=43, seed=1).tolist() != sample.tolist()
    assert len(draw_sample(strata, size=10**6, seed=0)) == 203


def test_pairs_without_scores_are_a_stratum_of_their_own() -> None:
    assert strata_of(np.full(4, np.nan), num_strata=5).tolist() == [1] * 4
    strata = strata_of(np.array([0.1, np.nan, 0.9, 0.5]), num_strata=2)
    assert len(np.unique(strata)) == 3 and strata[1] == strata.max()
