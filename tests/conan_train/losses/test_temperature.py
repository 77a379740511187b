import pytest
import torch

from conan_data.errors import UserError
from conan_train.losses.temperature import Temperature


def test_starts_where_it_is_told_and_learns() -> None:
    temperature = Temperature(0.05).double()
    value = temperature()
    assert value.item() == pytest.approx(0.05, rel=1e-6)
    (5.0 / value).backward()
    # d/dtheta of 5 exp(-theta) is -5 / tau.
    assert temperature.log_value.grad.item() == pytest.approx(-5.0 / 0.05, rel=1e-6)


@pytest.mark.parametrize(("wanted", "bound"), [(1e-6, 0.01), (50.0, 0.5)])
def test_stays_within_bounds_and_comes_back(wanted: float, bound: float) -> None:
    temperature = Temperature(0.1, low=0.01, high=0.5)
    optimizer = torch.optim.SGD(temperature.parameters(), lr=0.3)

    def pull(goal: float) -> float:
        optimizer.zero_grad()
        (temperature().log() - torch.tensor(goal).log()).square().backward()
        optimizer.step()
        return temperature().item()

    for _ in range(50):
        value = pull(wanted)
    assert value == pytest.approx(bound)
    for _ in range(50):
        value = pull(0.1)
    assert value == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("start", [0.0, 0.001, 2.0])
def test_a_start_outside_of_the_bounds_is_named(start: float) -> None:
    with pytest.raises(UserError, match="between its bounds"):
        Temperature(start)
