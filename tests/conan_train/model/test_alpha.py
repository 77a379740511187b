import math

import pytest

from conan_train.model.alpha import alpha_at


def test_alpha_rises_linearly() -> None:
    assert [alpha_at(step, 4) for step in range(6)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert alpha_at(0, 0) == 1.0


@pytest.mark.parametrize(
    ("schedule", "quarter", "half"),
    [
        ("quadratic-slow", 1 / 16, 1 / 4),
        ("quadratic-fast", 7 / 16, 3 / 4),
        ("cosine", (1 - math.sqrt(0.5)) / 2, 0.5),
    ],
)
def test_other_schedules_rise_from_0_to_exactly_1(schedule: str, quarter: float, half: float) -> None:
    rise = [alpha_at(step, 8, schedule=schedule) for step in range(10)]
    assert rise[0] == 0.0 and rise[8] == rise[9] == 1.0
    assert (rise[2], rise[4]) == pytest.approx((quarter, half))
    assert rise == sorted(rise) and len(set(rise)) == 9
    assert alpha_at(0, 0, schedule=schedule) == 1.0


def test_constant_is_bidirectional_from_the_start() -> None:
    assert [alpha_at(step, 4, schedule="constant") for step in (0, 2, 9)] == [1.0, 1.0, 1.0]
