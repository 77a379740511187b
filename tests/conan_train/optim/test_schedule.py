import itertools
import math

import pytest

from conan_data.errors import UserError
from conan_train.optim.config import OptimConfig
from conan_train.optim.schedule import lr_at


def rates(num_steps: int, **fields: object) -> list[float]:
    config = OptimConfig(**fields)  # type: ignore[arg-type]
    return [lr_at(step, config, num_steps=num_steps) for step in range(num_steps)]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd", "constant"])
def test_warmup_then_descent_to_the_end(schedule: str) -> None:
    found = rates(100, lr=2e-3, warmup_steps=10, schedule=schedule, final_lr=0.1)
    assert found[:10] == pytest.approx([2e-4 * (step + 1) for step in range(10)])
    assert found[9] == max(found) == pytest.approx(2e-3)
    assert all(later <= earlier for earlier, later in itertools.pairwise(found[9:]))
    assert found[-1] == pytest.approx(2e-3 if schedule == "constant" else 2e-4)


def test_shapes() -> None:
    cosine = rates(100, lr=1.0, schedule="cosine", final_lr=0.0)
    assert cosine[49] == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)))
    wsd = rates(100, lr=1.0, schedule="wsd", final_lr=0.0, decay_share=0.2, warmup_steps=5)
    assert wsd[5:80] == [1.0] * 75
    assert wsd[80:] == pytest.approx([1 - (number + 1) / 20 for number in range(20)])


def test_one_step() -> None:
    assert rates(1, lr=1.0, schedule="wsd") == pytest.approx([0.1])


def test_wrong_values() -> None:
    with pytest.raises(UserError, match=r"warmup_steps: must be less than the 5 steps"):
        rates(5, warmup_steps=5)
    with pytest.raises(UserError, match="betas"):
        OptimConfig(betas=(0.9, 1.0))
    with pytest.raises(UserError, match="schedule"):
        OptimConfig(schedule="step")  # type: ignore[arg-type]
