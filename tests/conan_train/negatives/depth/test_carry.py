"""The map against least squares by another library routine, and what its error catches."""

import numpy as np
import pytest

from conan_train.negatives.depth.carry import fit_and_check, fit_map

D = 12


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def then_and_now() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    then = unit(rng.standard_normal((500, D)) + 1)
    return then, unit(then @ rng.standard_normal((D, D)) + 0.5)


def test_without_a_penalty_it_is_least_squares(then_and_now: tuple[np.ndarray, np.ndarray]) -> None:
    then, now = then_and_now
    fitted = fit_map(then, now, ridge=0.0)
    design = np.column_stack([then.astype(np.float64), np.ones(len(then))])
    expected, *_ = np.linalg.lstsq(design, now.astype(np.float64), rcond=None)
    assert np.allclose(fitted.matrix_DD, expected[:-1], atol=1e-4)
    assert np.allclose(fitted.shift_D, expected[-1], atol=1e-4)
    assert np.allclose(unit(fitted(then)), unit(design @ expected), atol=1e-4)


def test_a_large_penalty_leaves_vectors_where_they_are() -> None:
    rng = np.random.default_rng(1)
    then = unit(rng.standard_normal((3, D)))
    now = unit(then + 0.01 * rng.standard_normal(then.shape))
    assert np.abs(unit(fit_map(then, now, ridge=1e6)(then)) - then).max() < 0.03


def test_a_rotation_is_found_and_documents_it_has_not_seen_are_carried() -> None:
    rng = np.random.default_rng(2)
    turn = np.linalg.qr(rng.standard_normal((D, D)))[0]
    then = unit(rng.standard_normal((400, D)))
    fit = fit_and_check(then, unit(then @ turn), ridge=1e-6)
    others = unit(rng.standard_normal((50, D)))
    assert np.abs(fit.map(others) - others @ turn).max() < 1e-3
    assert fit.drift > 0.5 and fit.error < 1e-4


def test_wrong_pairs_show_in_the_error(then_and_now: tuple[np.ndarray, np.ndarray]) -> None:
    then, now = then_and_now
    right = fit_and_check(then, now, ridge=1e-3)
    wrong = fit_and_check(then, np.roll(now, 1, axis=0), ridge=1e-3)
    assert right.error < 0.1 < 0.15 < wrong.error


def test_the_score_error_is_that_of_documents_held_out() -> None:
    rng = np.random.default_rng(4)
    then = unit(rng.standard_normal((2000, D)))
    now = unit(then + 0.1 * rng.standard_normal(then.shape))
    queries = unit(rng.standard_normal((50, D))).astype(np.float16)
    fit = fit_and_check(then, now, ridge=1e-3)
    others = unit(rng.standard_normal((500, D)))
    after = unit(others + 0.1 * rng.standard_normal(others.shape))
    measured = float(np.sqrt(np.square((fit.map(others) - after) @ queries.T.astype(np.float32)).mean()))
    assert fit.score_error(queries) == pytest.approx(measured, rel=0.1)


def test_scores_of_carried_documents_are_those_to_be_expected() -> None:
    """Made unit length they would be too high by the part of the vector that nobody can know."""
    rng = np.random.default_rng(5)
    then = unit(rng.standard_normal((4000, D)))
    now = unit(then + 0.3 * rng.standard_normal(then.shape))
    carried = fit_map(then[:2000], now[:2000], ridge=1e-3)(then[2000:])
    slope = float((carried * now[2000:]).sum() / (carried * carried).sum())
    assert slope == pytest.approx(1, abs=0.03) and np.linalg.norm(carried, axis=1).mean() < 0.8
