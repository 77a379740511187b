import pytest
import torch

from conan_data.errors import UserError
from conan_train.losses.cosent import CoSENT, cosent
from conan_train.losses.matryoshka import check_dims, matryoshka

GOLD = torch.tensor([1.0, 2.0, 3.0])


def loss_of(vectors: torch.Tensor) -> tuple[torch.Tensor, CoSENT]:
    result = cosent(vectors[:3], vectors[3:], GOLD, temperature=0.1)
    return result.loss, result


def vectors() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 8, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("weights", [None, (0.5, 3.0, 1.0)])
def test_is_the_weighted_sum_over_cut_vectors(weights: tuple[float, ...] | None) -> None:
    given = vectors()
    total, result = matryoshka(loss_of, dims=(2, 8, 5), weights=weights)(given)
    parts = [loss_of(given[:, :dim])[0] for dim in (2, 8, 5)]
    expected = sum(weight * part for weight, part in zip(weights or (1.0, 1.0, 1.0), parts))
    torch.testing.assert_close(total, expected, rtol=0, atol=1e-12)
    assert torch.equal(result.cosines, loss_of(given)[1].cosines)
    (gradient,) = torch.autograd.grad(total, given)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, given)[0], rtol=0, atol=1e-12)
    assert len({round(part.item(), 6) for part in parts}) == 3


def test_no_dims_is_the_plain_loss() -> None:
    assert matryoshka(loss_of, dims=()) is loss_of


@pytest.mark.parametrize(
    ("dims", "weights", "message"),
    [
        ((2, 4), None, "must be 8"),
        ((2, 8, 9), None, "must be 8"),
        ((2, 2, 8), None, "different"),
        ((0, 8), None, "at least 1"),
        ((2, 8), (1.0,), "2 positive numbers"),
        ((2, 8), (1.0, 0.0), "2 positive numbers"),
    ],
)
def test_wrong_dims_are_named(dims: tuple[int, ...], weights: tuple[float, ...] | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_dims(dims, weights, width=8)
    with pytest.raises(UserError, match=message):
        matryoshka(loss_of, dims=dims, weights=weights)(vectors())
