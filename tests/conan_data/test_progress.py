"""Lines of progress where there is no terminal."""

import logging

import pytest

from conan_data import progress


@pytest.mark.parametrize(
    ("number", "seconds", "text"),
    [
        (24_000, 20.0, "1,200/s"),
        (20, 20.0, "1/s"),
        (8, 60.0, "7.5 s a step"),
        (1, 3600.0, "3600.0 s a step"),
        (0, 16.0, "the first takes 16 s so far"),
    ],
)
def test_slow_work_shows_seconds_a_step(number: int, seconds: float, text: str) -> None:
    assert progress.pace(number, seconds, "step") == text


def test_a_line_every_few_seconds(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with caplog.at_level(logging.INFO, logger="conan_data"):
        assert list(progress.progress(range(3), "training", unit="step")) == [0, 1, 2]
    assert caplog.messages == [
        "training: 0 of 3 steps, the first takes 20 s so far",
        "training: 1 of 3 steps, 40.0 s a step",
        "training: 2 of 3 steps, 30.0 s a step",
    ]
