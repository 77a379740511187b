"""Every stage takes the steps that it took when its curve was stored."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conan_train.training.golden import FILE, STAGES, STEPS, curve, write_inputs

STORED = json.loads(FILE.read_text())
pytestmark = pytest.mark.skipif(
    torch.__version__.split("+")[0] != STORED["torch"],
    reason=f"curves of torch {STORED['torch']}; renew them with python -m tests.conan_train.training.golden",
)
TOLERANCE = 1e-4
"""Relative. One machine repeats them to the bit; other vector instructions move the sixth digit of what is logged,
and twenty steps carry that on.
"""


def compare(found: Any, stored: Any, where: str) -> None:
    if isinstance(stored, dict):
        assert found.keys() == stored.keys(), where
        for name in stored:
            compare(found[name], stored[name], f"{where}.{name}")
    elif isinstance(stored, float) and isinstance(found, float):
        assert math.isclose(found, stored, rel_tol=TOLERANCE, abs_tol=1e-5), (
            f"{where}: {found} is not {stored}"
        )
    else:
        assert found == stored, where


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_twenty_steps_as_they_were(stage: str, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    found, stored = curve(STAGES[stage](tmp_path)), STORED["stages"][stage]
    steps = [line for line in found if line["event"] == "step"]
    losses = [line["loss"] for line in steps]
    assert len(losses) == STEPS and sum(losses[-5:]) < sum(losses[:5]), (
        "a stage that learns nothing proves nothing"
    )
    assert len(found) == len(stored)
    for line, expected in zip(found, stored, strict=True):
        # The name of a generation is a hash of its scores to the last bit.
        compare(
            {**line, "generation": ""}, {**expected, "generation": ""}, f"{stage}, step {expected['step']}"
        )


def test_a_curve_that_moved_is_found() -> None:
    line = STORED["stages"]["weak"][3]
    compare(line, line, "weak")
    with pytest.raises(AssertionError, match="loss"):
        compare({**line, "loss": line["loss"] * 1.001}, line, "weak")
    with pytest.raises(AssertionError):
        compare({name: value for name, value in line.items() if name != "alpha"}, line, "weak")
