"""CoSENT against a loop in float64: values, gradients, order."""

import math

import pytest
import torch

from conan_train.losses.cosent import cosent

NUM_PAIRS, DIM, TEMPERATURE = 6, 5, 0.1
GOLD = torch.tensor([3.0, 1.0, 3.0, 0.0, 2.5, 1.0], dtype=torch.float64)


def vectors(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(NUM_PAIRS, DIM, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for _ in range(2)
    )


def loop(left: torch.Tensor, right: torch.Tensor) -> tuple[float, int, int]:
    """The formula, one number at a time: the loss, the ordered pairs of pairs, the swapped ones."""
    cosines = []
    for a, b in zip(left.tolist(), right.tolist(), strict=True):
        dot = sum(x * y for x, y in zip(a, b))
        cosines.append(dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b)))
    total, ordered, swapped = 1.0, 0, 0
    for i in range(NUM_PAIRS):
        for j in range(NUM_PAIRS):
            if GOLD[i] > GOLD[j]:
                total += math.exp((cosines[j] - cosines[i]) / TEMPERATURE)
                ordered += 1
                swapped += cosines[j] >= cosines[i]
    return math.log(total), ordered, swapped


def test_equals_the_loop() -> None:
    left, right = vectors()
    result = cosent(left, right, GOLD, temperature=TEMPERATURE)
    loss, ordered, swapped = loop(left, right)
    assert result.loss.item() == pytest.approx(loss, abs=1e-12) and loss > 0.1
    assert (result.num_ordered.item(), result.num_swapped.item()) == (ordered, swapped)
    assert 0 < swapped < ordered
    assert not result.cosines.requires_grad


def test_gradients_against_finite_differences() -> None:
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda left, right, tau: cosent(left, right, GOLD, temperature=tau).loss, (*vectors(), temperature)
    )


def test_only_the_order_of_gold_counts() -> None:
    left, right = vectors()
    one = cosent(left, right, GOLD, temperature=TEMPERATURE).loss
    assert torch.equal(one, cosent(left, right, GOLD**3 * 7 - 2, temperature=TEMPERATURE).loss)
    assert one != cosent(left, right, -GOLD, temperature=TEMPERATURE).loss


def test_nothing_to_order_is_no_loss() -> None:
    left, right = vectors()
    result = cosent(left, right, torch.ones(NUM_PAIRS), temperature=TEMPERATURE)
    result.loss.backward()
    assert result.loss.item() == 0.0 and left.grad.abs().max() == right.grad.abs().max() == 0.0


def test_low_precision_and_autocast_compute_in_float32() -> None:
    left, right = (part.detach().bfloat16() for part in vectors())
    expected = cosent(left.float(), right.float(), GOLD, temperature=0.01).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cosent(left, right, GOLD, temperature=0.01).loss, expected)
