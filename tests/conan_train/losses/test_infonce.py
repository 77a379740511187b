"""InfoNCE against a loop in float64: values, gradients, exclusions, missing negatives."""

import math

import pytest
import torch

from conan_train.losses.infonce import Margin, infonce, infonce_over

NUM_QUERIES, NUM_NEGATIVES, DIM, TEMPERATURE = 4, 3, 6, 0.07


def vectors(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((NUM_QUERIES, DIM), (NUM_QUERIES, DIM), (NUM_QUERIES, NUM_NEGATIVES, DIM))
    return tuple(
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in shapes
    )


def masks() -> tuple[torch.Tensor, torch.Tensor]:
    """Some columns excluded, own positives among them (which must have no effect), and two negatives missing."""
    excluded = (
        torch.rand(NUM_QUERIES, NUM_QUERIES * (1 + NUM_NEGATIVES), generator=torch.Generator().manual_seed(1))
        < 0.3
    )
    excluded[0, 0] = excluded[2, 2] = True
    missing = torch.zeros(NUM_QUERIES, NUM_NEGATIVES, dtype=torch.bool)
    missing[1, 2] = missing[3, 0] = True
    return excluded, missing


def loop(
    queries: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    excluded: torch.Tensor,
    missing: torch.Tensor,
) -> torch.Tensor:
    """The formula, one scalar at a time."""

    def cosine(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return (
            sum(a * b for a, b in zip(left, right))
            / (sum(a * a for a in left) * sum(b * b for b in right)).sqrt()
        )

    losses = []
    for i in range(NUM_QUERIES):
        own = torch.exp(cosine(queries[i], positives[i]) / TEMPERATURE)
        total = own
        for j in range(NUM_QUERIES):
            if j != i and not excluded[i, j]:
                total = total + torch.exp(cosine(queries[i], positives[j]) / TEMPERATURE)
            for n in range(NUM_NEGATIVES):
                if not missing[j, n] and not excluded[i, NUM_QUERIES + j * NUM_NEGATIVES + n]:
                    total = total + torch.exp(cosine(queries[i], negatives[j, n]) / TEMPERATURE)
        losses.append(-torch.log(own / total))
    return sum(losses) / NUM_QUERIES


@pytest.mark.parametrize("masked", [False, True])
def test_equals_the_loop(masked: bool) -> None:
    excluded, missing = masks()
    if not masked:
        excluded, missing = torch.zeros_like(excluded), torch.zeros_like(missing)
    inputs = vectors()
    expected = loop(*inputs, excluded, missing)
    expected_gradients = torch.autograd.grad(expected, inputs)
    result = infonce(*inputs, temperature=TEMPERATURE, excluded_BC=excluded, missing_BN=missing)
    gradients = torch.autograd.grad(result.loss, inputs)
    torch.testing.assert_close(result.loss, expected, rtol=0, atol=1e-10)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert expected_gradient.abs().max() > 1e-3
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-10)
    if masked:
        assert gradients[2][1, 2].abs().max() == 0.0 and gradients[2][3, 0].abs().max() == 0.0
        unmasked = infonce(*inputs, temperature=TEMPERATURE).loss
        assert abs(result.loss - unmasked) > 1e-2


def test_scores_for_monitoring() -> None:
    queries, positives, negatives = (part.detach() for part in vectors())
    _, missing = masks()
    result = infonce(queries, positives, negatives, temperature=TEMPERATURE, missing_BN=missing)
    for i in range(NUM_QUERIES):
        assert result.positive_scores[i].item() == pytest.approx(
            torch.cosine_similarity(queries[i], positives[i], dim=0).item()
        )
        for n in range(NUM_NEGATIVES):
            score = result.negative_scores[i, n].item()
            expected = torch.cosine_similarity(queries[i], negatives[i, n], dim=0).item()
            assert math.isnan(score) if missing[i, n] else score == pytest.approx(expected)
    assert not result.positive_scores.requires_grad and not result.negative_scores.requires_grad


def test_without_negatives_it_is_cross_entropy_over_the_positives() -> None:
    queries, positives, _ = vectors()
    result = infonce(queries, positives, None, temperature=TEMPERATURE)
    cosines = torch.cosine_similarity(queries[:, None], positives[None], dim=-1)
    expected = -torch.log_softmax(cosines / TEMPERATURE, dim=1).diagonal().mean()
    torch.testing.assert_close(result.loss, expected)
    assert result.negative_scores.shape == (NUM_QUERIES, 0)


def test_a_query_is_correct_when_nothing_that_counts_beats_its_positive() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    candidates = torch.tensor([[1.0, 0.5], [0.1, 1.0], [1.0, 0.1]])
    target = torch.tensor([0, 1])
    assert infonce_over(queries, candidates, target, temperature=1.0).correct.tolist() == [False, True]
    excluded = torch.tensor([[True, False, True], [False, False, False]])
    result = infonce_over(queries, candidates, target, temperature=1.0, excluded_BC=excluded)
    assert result.correct.tolist() == [True, True]
    assert result.excluded.tolist() == [
        [False, False, True],
        [False, False, False],
    ]  # an own positive is never excluded


def test_low_precision_and_autocast_compute_in_float32() -> None:
    queries, positives, negatives = (part.detach().bfloat16() for part in vectors())
    expected = infonce(queries.float(), positives.float(), negatives.float(), temperature=0.01)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for inputs in (
            (queries, positives, negatives),
            (queries.float(), positives.float(), negatives.float()),
        ):
            result = infonce(*inputs, temperature=0.01)
            assert result.loss.dtype == result.cosines.dtype == torch.float32
            assert torch.equal(result.cosines, expected.cosines) and torch.equal(result.loss, expected.loss)


def test_all_excluded_leaves_no_loss_and_no_gradient() -> None:
    inputs = vectors()
    excluded = torch.ones(NUM_QUERIES, NUM_QUERIES * (1 + NUM_NEGATIVES), dtype=torch.bool)
    result = infonce(*inputs, temperature=TEMPERATURE, excluded_BC=excluded)
    result.loss.backward()
    assert result.loss.item() == 0.0
    assert all(part.grad.abs().max() == 0.0 for part in inputs)


@pytest.mark.parametrize("margin", [Margin(0.05), Margin(-0.2), Margin(-0.05, relative=True), Margin(0.3)])
def test_a_margin_leaves_out_what_scores_above_it(margin: Margin) -> None:
    queries, positives, _ = vectors()
    target = torch.tensor([2, 0, 3, 1])
    excluded = torch.rand(4, 4, generator=torch.Generator().manual_seed(2)) < 0.2
    cosines = torch.cosine_similarity(queries[:, None], positives[None], dim=-1).detach()
    by_hand = excluded.clone()
    for i in range(4):
        own = cosines[i, target[i]].item()
        limit = own + margin.value * (abs(own) if margin.relative else 1.0)
        for j in range(4):
            by_hand[i, j] |= cosines[i, j].item() > limit
    wanted = infonce_over(queries, positives, target, temperature=0.1, excluded_BC=by_hand)
    found = infonce_over(queries, positives, target, temperature=0.1, excluded_BC=excluded, margin=margin)
    assert torch.equal(found.excluded, wanted.excluded) and torch.equal(found.loss, wanted.loss)
    assert (found.excluded.sum() > (excluded & ~torch.eye(4, dtype=torch.bool)[target]).sum()) == (
        margin.value < 0.3
    )


def test_gradients_against_finite_differences() -> None:
    queries, positives, negatives = vectors()
    excluded, missing = masks()
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def loss(*inputs: torch.Tensor) -> torch.Tensor:
        *parts, tau = inputs
        return infonce(*parts, temperature=tau, excluded_BC=excluded, missing_BN=missing).loss

    assert torch.autograd.gradcheck(loss, (queries, positives, negatives, temperature))
