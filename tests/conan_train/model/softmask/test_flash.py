"""Merge, shifts and gradients of the two calls, against the mask written out and differentiated by autograd."""

import pytest
import torch

from conan_train.model.softmask import flash
from conan_train.model.softmask.flash import varlen_attention
from conan_train.model.softmask.rows import Blend, VarlenRows, rows_of_batch, rows_of_lengths

LENGTHS = (1, 2, 7, 16, 5)
SCALE = 0.37
CPU = torch.device("cpu")
ALPHAS = [0.0, 1e-3, 0.3, 0.5, 0.9, 1.0]


def tensors(
    lengths: tuple[int, ...], dtype: torch.dtype, device: str = "cpu", *, size: int = 8
) -> list[torch.Tensor]:
    """Query of 4 heads, key and value of 2, and the gradient of the output."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(sum(lengths), heads, size) for heads in (4, 2, 2, 4)]
    *inputs, grad = (torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes)
    return [*(given.requires_grad_() for given in inputs), grad]


def dense(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: tuple[int, ...], alpha: float
) -> torch.Tensor:
    """exp(scores) * M, normalised, text by text."""
    outs, start = [], 0
    for length in lengths:
        stop = start + length
        texts = [given[start:stop].transpose(0, 1) for given in (query, key, value)]
        query_HLD, key_HLD, value_HLD = (text if len(text) == 4 else text[[0, 0, 1, 1]] for text in texts)
        mask = torch.tensor(
            [
                [1.0 if j <= i else min(alpha * length / i, 1.0) for j in range(1, length + 1)]
                for i in range(1, length + 1)
            ],
            dtype=query.dtype,
            device=query.device,
        )
        weights = (SCALE * query_HLD @ key_HLD.mT).exp() * mask
        outs.append(((weights / weights.sum(-1, keepdim=True)) @ value_HLD).transpose(0, 1))
        start = stop
    return torch.cat(outs)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_two_calls_are_the_dense_mask(dtype: torch.dtype, tolerance: float, alpha: float) -> None:
    *inputs, grad = tensors(LENGTHS, dtype)
    rows = rows_of_lengths(LENGTHS, alpha, dtype=dtype, device=CPU)
    out = varlen_attention(*inputs, rows, scale=SCALE)
    expected = dense(*inputs, LENGTHS, alpha)
    torch.testing.assert_close(out, expected, rtol=0, atol=tolerance)
    wanted = torch.autograd.grad(expected, inputs, grad)
    assert all(gradient.abs().max() > 0.1 for gradient in wanted)
    for found, gradient in zip(torch.autograd.grad(out, inputs, grad), wanted, strict=True):
        torch.testing.assert_close(found, gradient, rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_gradients_match_finite_differences(alpha: float) -> None:
    lengths = (1, 3, 4)
    *inputs, _ = tensors(lengths, torch.float64, size=4)
    rows = rows_of_lengths(lengths, alpha, dtype=torch.float64, device=CPU)
    assert torch.autograd.gradcheck(lambda *given: varlen_attention(*given, rows, scale=SCALE), inputs)


def test_weights_of_exactly_0_and_1_in_one_text() -> None:
    """Infinite shifts on either side, in forward and backward."""
    *inputs, grad = tensors((6,), torch.float64)
    weight = torch.tensor([1.0, 0.0, 0.5, 1.0, 0.0, 0.25], dtype=torch.float64)
    rows = VarlenRows(
        torch.tensor([0, 6], dtype=torch.int32),
        longest=6,
        place_T=None,
        causal=True,
        blend=Blend(torch.log1p(-weight), weight.log()),
    )
    out = varlen_attention(*inputs, rows, scale=SCALE)
    mask = torch.where(torch.ones(6, 6).tril().bool(), 1.0, weight[:, None])
    query, key, value = (given.transpose(0, 1) for given in inputs)
    weights = (SCALE * query @ key[[0, 0, 1, 1]].mT).exp() * mask
    expected = ((weights / weights.sum(-1, keepdim=True)) @ value[[0, 0, 1, 1]]).transpose(0, 1)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    wanted = torch.autograd.grad(expected, inputs, grad)
    for found, gradient in zip(torch.autograd.grad(out, inputs, grad), wanted, strict=True):
        torch.testing.assert_close(found, gradient, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("alpha", "calls"), [(0.0, [True]), (1.0, [False]), (0.5, [True, False])])
def test_the_ends_are_one_call(alpha: float, calls: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[bool]] = {"reference_forward": [], "reference_backward": []}
    for name, made in seen.items():
        stock = getattr(flash, name)

        def counted(*args: object, causal: bool, stock=stock, made=made) -> object:
            made.append(causal)
            return stock(*args, causal=causal)

        monkeypatch.setattr(flash, name, counted)
    *inputs, grad = tensors(LENGTHS, torch.float32)
    rows = rows_of_lengths(LENGTHS, alpha, dtype=torch.float32, device=CPU)
    varlen_attention(*inputs, rows, scale=SCALE).backward(grad)
    assert seen == {"reference_forward": calls, "reference_backward": calls}


@pytest.mark.parametrize("shift", ["past", "all"])
def test_a_wrong_shift_is_found(shift: str) -> None:
    """The comparison above would notice a log-sum-exp that is shifted by a row's neighbour."""
    *inputs, grad = tensors(LENGTHS, torch.float64)
    rows = rows_of_lengths(LENGTHS, 0.3, dtype=torch.float64, device=CPU)
    out = varlen_attention(*inputs, rows, scale=SCALE)
    blend = rows.blend
    assert blend is not None
    rows.blend = (
        blend._replace(log_past_T=blend.log_past_T.roll(1))
        if shift == "past"
        else blend._replace(log_all_T=blend.log_all_T.roll(1))
    )
    wanted = torch.autograd.grad(dense(*inputs, LENGTHS, 0.3), inputs, grad)
    found = torch.autograd.grad(out, inputs, grad)
    assert max((one - other).abs().max() for one, other in zip(found, wanted, strict=True)) > 1e-3


@pytest.mark.parametrize("side", ["left", "right", "none"])
def test_rows_of_a_batch_are_rows_of_its_lengths(side: str) -> None:
    lengths = [5, 0, 1, 3] if side != "none" else [5] * 4
    real = torch.zeros(4, 5, dtype=torch.bool)
    for row, length in enumerate(lengths):
        real[row, 5 - length :] = side != "right"
        real[row, :length] |= side == "right"
    batch = rows_of_batch(
        None if side == "none" else real, 0.4, shape=(4, 5), dtype=torch.float64, device=CPU
    )
    packed = rows_of_lengths([length for length in lengths if length], 0.4, dtype=torch.float64, device=CPU)
    assert batch.spans() == packed.spans() and batch.longest == packed.longest == 5
    assert batch.blend is not None and packed.blend is not None
    for one, other in zip(batch.blend, packed.blend, strict=True):
        assert torch.equal(one, other)
    given = torch.arange(4 * 5, dtype=torch.float64).view(4, 1, 5, 1).expand(4, 2, 5, 3)
    back = batch.scatter(batch.gather(given), shape=(4, 5))
    assert torch.equal(back, given.transpose(1, 2) * (1 if side == "none" else real[:, :, None, None]))


def test_bfloat16_stays_close_to_float32() -> None:
    *inputs, grad = tensors(LENGTHS, torch.bfloat16)
    rows = rows_of_lengths(LENGTHS, 0.3, dtype=torch.float32, device=CPU)
    out = varlen_attention(*inputs, rows, scale=SCALE)
    wide = [given.detach().float().requires_grad_() for given in inputs]
    expected = dense(*wide, LENGTHS, 0.3)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected, rtol=0, atol=0.03)
    wanted = torch.autograd.grad(expected, wide, grad.float())
    for found, gradient in zip(torch.autograd.grad(out, inputs, grad), wanted, strict=True):
        torch.testing.assert_close(found.float(), gradient, rtol=0.02, atol=0.05)
