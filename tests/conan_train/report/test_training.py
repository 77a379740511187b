import numpy as np

from conan_train.report.training import Series, replaced_per_step, series, thinned, total_replaced


def test_replaced_is_a_rate_over_the_steps_since_the_last_line():
    lines = [
        {"event": "step", "step": step, "replaced": count} for step, count in ((10, 20), (20, 5), (25, 10))
    ]
    found = replaced_per_step(lines)
    assert found.values.tolist() == [2.0, 0.5, 2.0]
    assert total_replaced(lines) == 35


def test_steps_may_be_counted_from_zero():
    assert replaced_per_step([{"step": 0, "replaced": 3}, {"step": 1, "replaced": 4}]).values.tolist() == [
        3.0,
        4.0,
    ]


def test_series_skips_lines_without_the_number():
    lines = [
        {"step": 1, "loss": 2.0},
        {"event": "refresh", "step": 2, "loss": 9.0},
        {"step": 3, "loss": None},
        {"step": 4, "loss": 1.0},
    ]
    found = series(lines, "loss")
    assert (found.steps.tolist(), found.values.tolist()) == ([1.0, 4.0], [2.0, 1.0])
    assert series(lines, "alpha") is None


def test_thinning_keeps_the_mean():
    values = np.random.default_rng(0).random(12_000)
    short = thinned(Series(np.arange(12_000.0), values), most=600)
    assert len(short.values) == 600
    np.testing.assert_allclose(short.values, values.reshape(600, 20).mean(axis=1))
